"""Run Argo Workflows YAML, unchanged, on Apache Airflow."""

__version__ = "0.1.0"


def get_provider_info() -> dict[str, object]:
    """What Airflow lists about this provider (entry point ``apache_airflow_provider``)."""
    return {
        "package-name": "argo-airflow",
        "name": "Argo Workflows",
        "description": "Run Argo Workflows YAML, unchanged, on Apache Airflow.",
        "versions": [__version__],
    }
