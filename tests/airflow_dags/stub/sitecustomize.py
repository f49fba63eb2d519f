"""Python imports this at its start in each Airflow process that the tests start with this folder on the path."""

import argo_stub

argo_stub.install()
