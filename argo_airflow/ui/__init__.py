"""What the plugin adds to Airflow and its web interface."""
