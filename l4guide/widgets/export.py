"""What the user takes away: the report as one HTML file, and the answer as JSON."""

import gzip
import json
import re
from collections.abc import Callable

import anywidget
import ipywidgets
import traitlets

from l4guide import report
from l4guide.text import say
from l4guide.widgets.markup import asset
from l4guide.widgets.state import GuideState


class DownloadButton(anywidget.AnyWidget):  # type: ignore[misc]
    """A button that makes a file in the kernel and saves it in the browser, through one compressed buffer.

    No server route is needed, so it works the same in JupyterLab, JupyterHub and Voilà.
    """

    _esm = asset("download.js")
    description = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)
    kind = traitlets.Unicode("").tag(sync=True)

    def __init__(self, wanted: Callable[[], None], *, kind: str) -> None:
        super().__init__(kind=kind)
        self.on_msg(lambda _widget, content, _buffers: wanted() if content.get("kind") == "wanted" else None)

    def save(self, name: str, mime: str, text: str) -> None:
        """Have the browser save `text` as the file `name`."""
        message = {"kind": "file", "name": name, "type": mime}
        self.send(message, [gzip.compress(text.encode("utf-8"), 6)])


class ExportPanel:
    """The two download buttons."""

    def __init__(self, state: GuideState) -> None:
        self.state = state
        self.html = DownloadButton(state.guarded(self._save_html), kind="guide-export-html")
        self.json = DownloadButton(state.guarded(self._save_json), kind="guide-export-json")
        self.view = ipywidgets.HBox([self.html, self.json])
        self.view.add_class("l4g-export")
        state.observe(state.guarded(lambda _: self._speak()), ["language", "advice"])
        self._speak()

    def file_name(self, ending: str) -> str:
        """`l4guide-<gpu>-<task>-d<head_dim>`, in characters that every file system takes."""
        question = self.state.advice.question
        gpu = re.sub(r"[^a-z0-9]+", "-", question.gpu.name.lower()).strip("-")
        return f"l4guide-{gpu}-{question.workload.task}-d{question.workload.head_dim}.{ending}"

    def _save_html(self) -> None:
        state = self.state
        page = report.render(state.advice, state.language, (state.record,) if state.record else ())
        self.html.save(self.file_name("html"), "text/html", page)

    def _save_json(self) -> None:
        answer = self.state.advice.to_json(self.state.language)
        text = json.dumps(answer, ensure_ascii=False, indent=1, default=str)
        self.json.save(self.file_name("json"), "application/json", text + "\n")

    def _speak(self) -> None:
        self.html.description = say("guide.export_html", self.state.language)
        self.json.description = say("guide.export_json", self.state.language)
        for button in (self.html, self.json):
            button.disabled = self.state.advice is None
