# Two stages: the first installs into a virtual environment, the second holds that and nothing else.
# The only thing reached while building is the package registry.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/axoplan && /opt/axoplan/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY app ./app
COPY templates ./templates
COPY static ./static
RUN /opt/axoplan/bin/pip install --no-cache-dir --no-deps . && /opt/axoplan/bin/python -m compileall -q /opt/axoplan/lib

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin axoplan
COPY --from=build /opt/axoplan /opt/axoplan
ENV PATH=/opt/axoplan/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /opt/axoplan
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"]
