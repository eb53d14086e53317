"""Log records as events."""

import logging
import traceback
from typing import Any, Dict

from ._client import Eye


class LogHandler(logging.Handler):
    """Sends log records as events.

    The name of an event is the record's level in lower case, such as "error". Its data has
    "logger", "message", "file", "line" and, for a record with an exception, "exception" with the
    traceback. Nothing else of a record is sent: what was passed as extra stays here.

    Records of the logger "theeye" and those below it are passed over, as is what the client's
    callbacks log: they would be told about their own events.
    """

    def __init__(self, eye: Eye, level: int = logging.NOTSET, *, category: str = "log") -> None:
        super().__init__(level)
        self._eye = eye
        self._category = category

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "theeye" or record.name.startswith("theeye."):
            return
        if self._eye.in_callback():
            return
        try:
            data: Dict[str, Any] = {
                "logger": record.name,
                "message": record.getMessage(),
                "file": record.filename,
                "line": record.lineno,
            }
            if record.exc_info and record.exc_info[0] is not None:
                data["exception"] = "".join(traceback.format_exception(*record.exc_info))
            # Names of files, for example, may have lone surrogates.
            for member, value in data.items():
                if isinstance(value, str):
                    data[member] = value.encode("utf-8", "backslashreplace").decode("utf-8")
        except Exception:
            self.handleError(record)
            return
        self._eye.track(self._category, record.levelname.lower(), data)
