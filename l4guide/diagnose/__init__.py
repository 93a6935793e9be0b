"""A pasted traceback, warning or log line -> what it is, why it happens, what to do; the symptoms are data."""

from l4guide.diagnose.answer import diagnose
from l4guide.diagnose.finding import Diagnosis, Finding, Remedy
from l4guide.diagnose.listing import symptoms_page
from l4guide.diagnose.paste import read_paste

__all__ = ["Diagnosis", "Finding", "Remedy", "diagnose", "read_paste", "symptoms_page"]
