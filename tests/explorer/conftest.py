"""What the command shows of each theorem unless told otherwise: the subject, its report,
its page."""

import pytest

from verify import explain
from verify.explorer import data as explorer
from verify.explorer.page import page
from verify.theorem import ALL


@pytest.fixture(scope="session", params=tuple(ALL), ids="theorem{}".format)
def theorem(request):
    return ALL[request.param]


@pytest.fixture(scope="session")
def subject(theorem):
    """What the command shows unless told otherwise."""
    return explain.random_subject(**explain.DRAWN, theorem=theorem)


@pytest.fixture(scope="session")
def report(subject, theorem):
    return explorer.collect(theorem, subject)


@pytest.fixture(scope="session")
def model(subject, theorem):
    return theorem.build(subject.spec, subject.tasks, subject.feature_map)


@pytest.fixture(scope="session")
def traces(subject, model):
    return [model.trace(prompt) for prompt in subject.prompts]


@pytest.fixture(scope="session")
def path(report, theorem, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / f"theorem{theorem.number}.html"
    path.write_text(page(report), encoding="utf-8")
    return path
