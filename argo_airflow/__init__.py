"""Run Argo Workflows YAML, unchanged, on Apache Airflow."""

__version__ = "0.1.0"
