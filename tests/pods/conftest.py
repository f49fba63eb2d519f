"""``pytest tests/pods --update-pods`` writes the golden pods anew; read their diff before you commit it."""


def pytest_addoption(parser):
    parser.addoption("--update-pods", action="store_true", help="write tests/pods/*.json anew")
