"""A DAG bundle that keeps each content of a folder as a version: a run goes on with the YAML it was started with.

In ``[dag_processor] dag_bundle_config_list``, for a folder of this machine, or for what another bundle brings::

    {"name": "argo", "classpath": "argo_airflow.airflow_dags.bundle.ArgoDagBundle", "kwargs": {"path": "/srv/dags"}}
    {"name": "argo", "classpath": "argo_airflow.airflow_dags.bundle.ArgoDagBundle", "kwargs": {
        "inner": "airflow.providers.git.bundles.git.GitDagBundle", "inner_kwargs": {"tracking_ref": "main"}}}

A bundle that has versions of its own (Git) keeps them. Importing this module makes Airflow find Argo's YAML, also where
plugins are loaded too late for it (``airflow dags test``).
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion
from airflow.dag_processing.bundles.local import LocalDagBundle
from airflow.exceptions import AirflowException

from argo_airflow.airflow_dags.importer import install
from argo_airflow.airflow_dags.process import REFRESH_SECONDS
from argo_airflow.airflow_dags.snapshot import Snapshots

install()


class ArgoDagBundle(BaseDagBundle):
    """A folder, or another bundle, whose every content is a version.

    Args:
        path: a local folder; Airflow's DAGs folder where neither it nor ``inner`` is given.
        inner: class path of the bundle to wrap.
        inner_kwargs: its arguments.
        refresh_interval: seconds between looks at the source.

    Raises:
        AirflowException: ``path`` and ``inner`` are both given.
    """

    supports_versioning = True

    def __init__(
        self,
        *,
        path: str | None = None,
        inner: str | None = None,
        inner_kwargs: dict[str, Any] | None = None,
        refresh_interval: int = REFRESH_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(refresh_interval=refresh_interval, **kwargs)
        if path and inner:
            raise AirflowException(f"DAG bundle {self.name}: give path or inner, not both")
        inner_class: type[BaseDagBundle] = pkgutil.resolve_name(inner) if inner else LocalDagBundle
        arguments = dict(inner_kwargs or {}) if inner else {"path": path}
        self._keeps_own_versions = inner_class.supports_versioning
        if self._keeps_own_versions:
            # Same name: the same files on disk, whether Airflow or we ask for them.
            self._inner = inner_class(name=self.name, version=self.version, **arguments)
        else:
            self._inner = inner_class(name=f"{self.name}.source", **arguments)
        self._snapshots = Snapshots(self.base_dir, self.versions_dir, self.name)

    @property
    def path(self) -> Path:
        """The folder Airflow reads: of the pinned version, or the latest."""
        if self._keeps_own_versions:
            return self._inner.path
        return self.versions_dir / self.version if self.version else self._snapshots.latest

    def initialize(self) -> None:
        """Make :attr:`path` exist.

        Raises:
            AirflowException: the pinned version is not on this machine, and the source has another content by now.
        """
        if self._keeps_own_versions:
            self._inner.initialize()
        elif not self.path.exists():
            with self.lock():
                self._take_snapshot()
            if self.version and not self.path.exists():
                raise AirflowException(
                    f"DAG bundle {self.name}: version {self.version} is not on this machine and its source has changed "
                    "since. Let the machines share [dag_processor] dag_bundle_storage_path, or use a bundle that can "
                    "fetch its versions again, as Git's (inner=airflow.providers.git.bundles.git.GitDagBundle)"
                )
        super().initialize()

    def refresh(self) -> None:
        """Take the content of the source as the latest version. Only the DAG processor calls this."""
        if self._keeps_own_versions:
            self._inner.refresh()
            return
        if self.version:
            raise AirflowException(
                f"DAG bundle {self.name}: refreshing the pinned version {self.version} is not possible"
            )
        with self.lock():
            self._take_snapshot()
            self._snapshots.keep_needed()

    def _take_snapshot(self) -> None:
        if not self._inner.is_initialized:
            self._inner.initialize()
        self._inner.refresh()
        self._snapshots.take(self._inner.path)

    def get_current_version(self) -> BundleVersion | None:
        """The version of :attr:`path`; None before the first snapshot."""
        if self._keeps_own_versions:
            current = self._inner.get_current_version()
            return BundleVersion(current) if isinstance(current, str) else current
        version = self.version or self._snapshots.latest_version()
        return BundleVersion(version) if version else None

    def view_url_template(self) -> str | None:
        """As the wrapped bundle's, unless one was given."""
        return super().view_url_template() or self._inner.view_url_template()

    def __getattr__(self, name: str) -> Any:
        # Airflow fills the view URL's placeholders ({subdir}, {version}) from the bundle's attributes.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)
