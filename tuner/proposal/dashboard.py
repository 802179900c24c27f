"""optuna-dashboard over a result file: on the loopback, and without a way to change the file.

Owns how Optuna's tables look there: readable names of the figures, and of each trial what the tuner knows of it. The
dashboard can rename and delete studies; here it gets a connection that can't write, and is asked nothing but to show.
"""

import importlib
import sqlite3
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import RDBStorage

from tuner.domain.errors import InputError, SurroundingsError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from optuna.study._frozen import FrozenStudy
    from optuna.trial import FrozenTrial, TrialState

LOOPBACK = "127.0.0.1"
_METRIC_NAMES = "study:metric_names"
"""Where Optuna keeps the names of a study's objectives."""
_LOCAL = frozenset({LOOPBACK, "localhost"})

Attributes = Callable[[int], Mapping[int, Mapping[str, Any]]]
"""From a study's id to what is shown of each trial, by trial id and name."""


class ShownStorage(RDBStorage):
    """Optuna's tables as the dashboard shows them."""

    def __init__(
        self, url: str, engine_kwargs: dict[str, Any], *, label: Callable[[str], str], attributes: Attributes
    ) -> None:
        """Use `shown_storage`."""
        super().__init__(url, engine_kwargs=engine_kwargs, skip_table_creation=True)
        self._label = label
        self._attributes = attributes

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return a study's attributes, the objectives' names readable."""
        return self._named(super().get_study_system_attrs(study_id))

    def get_all_studies(self) -> "list[FrozenStudy]":
        """Return the studies, the objectives' names readable."""
        found = super().get_all_studies()
        for study in found:
            study.system_attrs = self._named(study.system_attrs)
        return found

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: "Container[TrialState] | None" = None
    ) -> "list[FrozenTrial]":
        """Return a study's trials, with what the tuner knows of each as its user attributes."""
        known = self._attributes(study_id)
        found = super().get_all_trials(study_id, deepcopy=deepcopy, states=states)
        for trial in found:
            key: int = trial._trial_id  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it has no public name
            trial.user_attrs = {**trial.user_attrs, **known.get(key, {})}
        return found

    def _named(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        names = attributes.get(_METRIC_NAMES)
        readable = {_METRIC_NAMES: [self._label(name) for name in names]} if names else {}
        return {**attributes, **readable}


def shown_storage(url: str, path: Path | None, *, label: Callable[[str], str], attributes: Attributes) -> ShownStorage:
    """Return the storage of a result file; of an SQLite file through connections that can't write.

    Args:
        url: SQLAlchemy URL.
        path: of an SQLite file, None for a database server.
        label: from an objective's name to what people read.
        attributes: what is shown of each trial.
    """

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, check_same_thread=False)

    options = {} if path is None else {"creator": connect}
    return ShownStorage(url, options, label=label, attributes=attributes)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing of each request."""


def dashboard_server(storage: RDBStorage, port: int) -> WSGIServer:
    """Return the dashboard's server, listening on the loopback; `serve_forever` runs it.

    Raises:
        InputError: optuna-dashboard is not installed.
        SurroundingsError: the port is taken.
    """
    try:
        dashboard: Any = importlib.import_module("optuna_dashboard")  # an extra, without types
    except ModuleNotFoundError as error:
        raise InputError(
            "optuna-dashboard is not installed", advice="Install it beside the tuner: pip install 'tuner[dashboard]'"
        ) from error
    try:
        return make_server(
            LOOPBACK, port, read_only(dashboard.wsgi(storage)), server_class=_Server, handler_class=_Quiet
        )
    except OSError as error:
        advice = "`--port 0` takes a free one."
        raise SurroundingsError(f"can't listen on port {port}: {error.strerror}", advice=advice) from error


def read_only(application: "WSGIApplication") -> "WSGIApplication":
    """Return an application that is asked to show and never to change, and only from this machine's own pages.

    The name in `Host` is checked, so that no page of another site reaches it by pointing its own name at the loopback.
    """

    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname not in _LOCAL:
            return _refused(start_response, "403 Forbidden", "ask for 127.0.0.1 or localhost")
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return _refused(start_response, "405 Method Not Allowed", "the result file is only read here")
        return application(environ, start_response)

    return guarded


def _refused(start_response: "StartResponse", status: str, reason: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [f'{{"reason": "{reason}"}}'.encode()]
