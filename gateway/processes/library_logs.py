"""What libraries log goes the way of our own lines: escaped, one line each, and never waited for."""

import logging

from driftgate.gateway.logs import Logger


class LibraryLogs(logging.Handler):
    """Hands warnings and errors of libraries to a logger; without it they go to standard error directly."""

    def __init__(self, logger: Logger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def install(self) -> None:
        """Take what all libraries of this process log from now on."""
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its traceback if it has one."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error("library_error", library=record.name, reason=text)
        else:
            self._logger.warning("library_warning", library=record.name, reason=text)
