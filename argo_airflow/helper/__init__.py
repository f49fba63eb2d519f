"""What runs inside the pod beside the user's container: ``init`` before it, the wrapper around it, ``wait`` after it.

Standard library only, and boto3 once an S3 artifact is moved. The worker knows nothing but
:mod:`~argo_airflow.helper.contract`.
"""


class HelperError(Exception):
    """What goes wrong in a pod for a reason that can be told; the message is meant for the user."""
