"""What runs where, on one page: filters, the matrix, and since when."""

from collections.abc import Sequence

import anywidget
import ipywidgets
import traitlets

from l4guide import catalogue, plots
from l4guide.catalogue import Source
from l4guide.matrix import ALL, HEAD_DIMS, SYMBOLS, Matrix, library_names
from l4guide.matrix.texts import caption, column_name, legend, release_names
from l4guide.support.verdict import link, said
from l4guide.text import say
from l4guide.widgets.box import box
from l4guide.widgets.controls import LanguageSwitch
from l4guide.widgets.field import Choices, Field
from l4guide.widgets.frame import page_of
from l4guide.widgets.markup import asset, render
from l4guide.widgets.matrix_state import NEWEST, MatrixState
from l4guide.widgets.panel import HtmlPanel
from l4guide.widgets.plot_panel import PlotlyPanel
from l4guide.workload import DTYPES, TASKS


class MatrixTable(anywidget.AnyWidget):  # type: ignore[misc]
    """A table whose cells show their reason when pointed at or focused, and open their source when clicked."""

    _esm = asset("matrix.js")
    _css = asset("matrix.css")
    markup = traitlets.Unicode("").tag(sync=True)


class MatrixPage:
    """The matrix' state and its page.

    Attributes:
        state: every filter and what it leaves; set `state.gpu` and the page follows.
        view: the widget to display.

    Args:
        filters: first values of the filters, such as `gpu="H100"` or `library="flash-attn"`.

    Raises:
        BadInput: `gpu` is not known.
    """

    def __init__(self, **filters: str) -> None:
        if filters.get("gpu", ALL) != ALL:
            filters["gpu"] = catalogue.gpu(filters["gpu"]).name
        self.state = state = MatrixState(**filters)
        self.fields = self._fields()
        self.table, self.figure = MatrixTable(), PlotlyPanel()
        self.table.add_class("guide-matrix")
        self.figure.add_class("guide-plot-timeline")
        self._draw_table = state.guarded(self._fill_table)
        self._draw_figure = state.guarded(self._fill_figure)
        state.observe(lambda _: self._draw_table(), ["matrix", "language"])
        state.observe(lambda _: self._draw_figure(), ["timeline", "language"])
        state.observe(state.guarded(lambda _: self.fields["version"].speak()), ["library"])
        self._draw_table()
        self._draw_figure()
        self.view = self._lay_out()
        state.observe(state.guarded(lambda _: self._show_history()), ["timeline"])

    def _fields(self) -> dict[str, Field]:
        choices: dict[str, Choices] = {
            "library": lambda language: [_all("every_library", language), *_same(library_names())],
            "version": self._versions,
            "gpu": lambda language: [_all("every_gpu", language), *_same(_cards())],
            "task": lambda language: [(say(f"guide_task.{task}", language), task) for task in TASKS],
            "dtype": lambda _: _same(DTYPES),
            "head_dim": lambda _: _same([str(width) for width in HEAD_DIMS]),
        }
        buttons = ("task", "head_dim")
        fields = {
            name: Field(
                self.state,
                name,
                ipywidgets.ToggleButtons() if name in buttons else ipywidgets.Dropdown(),
                choices=choice,
            )
            for name, choice in choices.items()
        }
        entry = ipywidgets.Text(continuous_update=False)
        return {**fields, "dropout": Field(self.state, "dropout", entry)}

    def _versions(self, language: str) -> list[tuple[str, str]]:
        """The newest, every, or one of the releases of the chosen library."""
        newest, releases = (say("matrix_page.newest", language), NEWEST), self.state.versions()
        return [newest, *([_all("every_release", language), *_same(releases)] if releases else ())]

    def _lay_out(self) -> ipywidgets.Widget:
        state, fields = self.state, self.fields
        title = HtmlPanel(state, _draw_title, ["language"], "l4g-title").view
        top = box([title, LanguageSwitch(state).view], "l4g-top")
        error = HtmlPanel(state, _draw_error, ["error", "language"], "l4g-error").view
        names = ("library", "version", "gpu", "task", "dtype", "dropout")
        filters = box([fields[name].view for name in names], "l4g-filters", "l4g-card")
        since = HtmlPanel(state, _draw_since, ["timeline", "language"], "l4g-since").view
        spans = HtmlPanel(state, _draw_spans, ["timeline", "language"], "l4g-card").view
        self.plots = box([self.figure], "l4g-plots")
        self.history = ipywidgets.VBox([since, fields["head_dim"].view, self.plots, spans])
        self.history.add_class("l4g-history")
        self._show_history()
        return page_of([top, error, filters, self.table, self.history])

    def _show_history(self) -> None:
        self.history.layout.display = None if self.state.timeline is not None else "none"

    def _fill_table(self) -> None:
        matrix, language = self.state.matrix, self.state.language
        if matrix is not None:
            self.table.markup = table_markup(matrix, language)

    def _fill_figure(self) -> None:
        found, language = self.state.timeline, self.state.language
        if found is not None:
            self.figure.show(plots.timeline_figure(found, language), plots.timeline_alt(found, language))


def table_markup(matrix: Matrix, language: str = "en") -> str:
    """The matrix as an HTML table whose cells carry their reasons; every text in it is escaped."""
    by_card = len({row.gpu.name for row in matrix.rows}) > 1
    return render(
        "matrix",
        language,
        matrix=matrix,
        names=[column_name(column, language) for column in matrix.columns],
        by_card=by_card,
        by_release=not by_card or len({row.version for row in matrix.rows}) > 1,
        read_at=read_at,
        caption=caption(matrix.rows, language),
        legend=legend(language),
        releases=release_names,
        symbols=SYMBOLS,
        said=said,
        link=link,
    )


def read_at(source: Source, place: str) -> str:
    """A source and the place in it in words, the path of a file but once."""
    path, colon, lines = place.rpartition(":")
    if colon and source.title.endswith(path):
        return f"{source.title}:{lines}"
    return f"{source.title}, {place}" if place else source.title


def matrix(**filters: str) -> ipywidgets.Widget:
    """The page, ready to be displayed; see `MatrixPage` for the filters."""
    return MatrixPage(**filters).view


def _cards() -> list[str]:
    return [gpu.name for gpu in catalogue.gpus()]


def _same(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


def _all(name: str, language: str) -> tuple[str, str]:
    return say(f"matrix_page.{name}", language), ALL


def _draw_title(state: MatrixState) -> str:
    return render("matrix_title", state.language)


def _draw_error(state: MatrixState) -> str:
    return render("error", state.language, sentence=state.error.say(state.language)) if state.error else ""


def _draw_since(state: MatrixState) -> str:
    return render("heading", state.language, key="matrix_page.timeline") if state.timeline else ""


def _draw_spans(state: MatrixState) -> str:
    if state.timeline is None:
        return ""
    return render("timeline", state.language, spans=state.timeline.spans, said=said, link=link)
