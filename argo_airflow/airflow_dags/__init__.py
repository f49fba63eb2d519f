"""How Airflow finds YAML: one compiler behind each of Airflow's ways to find DAGs.

============ ==========================================================================================================
importer     Airflow asks it for the DAGs of a ``.yaml`` file: by the plugin on 3.3, by configuration on 3.4
bundle       a DAG bundle that keeps each content of a folder as a version of its own
loader       one line in a ``.py`` DAG file, where plugins cannot be installed
============ ==========================================================================================================

``source`` tells Argo's files from others and compiles one; ``process`` is what a starting Airflow process
needs from us.
"""
