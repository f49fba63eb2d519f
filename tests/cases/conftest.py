"""``pytest tests/cases --update-graphs`` writes the golden graphs anew; read their diff before you commit it."""


def pytest_addoption(parser):
    parser.addoption("--update-graphs", action="store_true", help="write tests/cases/**/*.graph anew")
