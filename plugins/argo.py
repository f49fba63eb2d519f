"""For those who mount a plugins folder (and the package on PYTHONPATH) rather than ``pip install`` it.

Where it is installed its entry point registers the plugin already; a second registration would make Airflow's SDK stop
loading the plugins after it (Airflow 3.3.2: sdk/plugins_manager.py:88).
"""

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="argo"):
    from argo_airflow.ui.plugin import ArgoPlugin  # noqa: F401
