"""Figures of speed: ``python bench``. Ours against a hand-written DAG of the same shape, on the same Airflow."""
