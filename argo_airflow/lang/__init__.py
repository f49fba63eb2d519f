"""The meaning of Argo's words: pure functions, used when DAGs are parsed and on the worker."""
