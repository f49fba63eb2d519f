"""The DAG importer for Argo's YAML.

Airflow 3.4 and later: by configuration, or by the plugin where nothing is configured::

    [dag_processor]
    dag_importer_configs = ["argo_airflow.airflow_dags.importer.ArgoDagImporter"]

Airflow 3.3 has the importers but no configuration for them, and its DAG processor lists only ``.py`` and zip files;
:func:`install`, called by the plugin and by the bundle, bridges both.
"""

from __future__ import annotations

import importlib.util

__all__ = ["ArgoDagImporter", "install"]

if importlib.util.find_spec("airflow.sdk.importers"):  # Airflow ≥ 3.4
    from argo_airflow.airflow_dags.importer_sdk import ArgoDagImporter, install_default
else:
    from argo_airflow.airflow_dags.importer_core import ArgoDagImporter, install_default  # type: ignore[assignment]


def install() -> None:
    """Make Airflow find Argo's YAML in every DAG bundle, with nothing configured. Idempotent, cheap, in any process."""
    install_default()
