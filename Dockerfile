# Two images from one file:
#   docker build --target helper  -t argo-airflow/helper:0.1.0 .    what workflow pods carry beside the user's container
#   docker build --target airflow -t argo-airflow/airflow:0.1.0 .   Airflow with this package, for docker-compose.yaml
# Registry and versions can be set: --build-arg PYTHON_IMAGE=registry.example.com/python:3.11-slim-bookworm

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /build
RUN pip install --no-cache-dir build
COPY pyproject.toml README.md LICENSE ./
COPY argo_airflow argo_airflow
# The build compiles the wrapper for amd64 and arm64; each image runs on either machine.
RUN python -m build --wheel --outdir /wheels .

FROM ${PYTHON_IMAGE} AS helper
# The helper needs the standard library, and boto3 for artifacts; nothing of Airflow.
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --constraint /tmp/requirements.lock boto3
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl && rm -r /tmp/wheels /tmp/requirements.lock
ENV PYTHONDONTWRITEBYTECODE=1
# Any user id will do: it writes to the pod's shared volume only.
USER 65534
ENTRYPOINT ["python", "-m", "argo_airflow.helper"]

FROM ${PYTHON_IMAGE} AS airflow
RUN useradd --create-home --uid 50000 --gid 0 airflow && mkdir -p /opt/airflow/dags && chown -R airflow:0 /opt/airflow
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --compile --constraint /tmp/requirements.lock apache-airflow \
    apache-airflow-providers-cncf-kubernetes apache-airflow-providers-standard asyncpg boto3 psycopg2-binary
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --compile --constraint /tmp/requirements.lock /tmp/wheels/*.whl \
    && rm -r /tmp/wheels /tmp/requirements.lock
ENV AIRFLOW_HOME=/opt/airflow PYTHONUNBUFFERED=1
USER 50000:0
WORKDIR /opt/airflow
EXPOSE 8080
ENTRYPOINT ["airflow"]
CMD ["version"]
