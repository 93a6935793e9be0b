"""Rule files are read strictly."""

from pathlib import Path

import pytest

from l4guide.catalogue import sources
from l4guide.errors import BadData
from l4guide.support.conditions import FEATURES, FIELD_TESTS, FIELDS, TESTS, Condition, label
from l4guide.support.reader import read_rulebook
from l4guide.text import Sentence

RULE = """
libraries = ["some"]
vendor = "NVIDIA"
install = "pip install some=={version}"
install_tag = "pip install some=={version}"
release = [{ version = "1.0" }]
covers = []
call = []
aliases = {}
[[rule]]
code = "SOME-RULE"
versions = ">=1.0"
passes = ["forward"]
needs = { field = "workload.head_dim", test = "at-most", value = 64 }
evidence = "source"
source = "pytorch-sdpa-docs"
place = ""
"""


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"at-most"', '"no-more-than"', "no-more-than"),
        ("workload.head_dim", "workload.heads_dim", "heads_dim"),
        ("value = 64", 'value = "64"', "value"),
        ("value = 64", "valeu = 64", "value"),
        ("value = 64", "value = true", "value"),
        ("value = 64", "value = [64]", "value"),
        ('"at-most", value = 64', '"within", value = [64]', "within"),
        (
            '"workload.head_dim", test = "at-most", value = 64',
            '"gpu.capability", test = "at-most", value = 8.9',
            "str",
        ),
        ('"at-most", value = 64', '"same-as", value = "head_dim_v"', "head_dim_v"),
        ('evidence = "source"', 'evidence = "hearsay"', "hearsay"),
        ('source = "pytorch-sdpa-docs"', 'source = "nowhere"', "nowhere"),
        ('versions = ">=1.0"', 'versions = "==1.0"', "versions"),
        ('versions = ">=1.0"', 'versions = ">=3.0"', "versions"),
        ('passes = ["forward"]', 'passes = ["sideways"]', "sideways"),
        ('place = ""', 'place = ""\ntext = "{nonsense}"', "nonsense"),
        ('place = ""', 'place = ""\nremark = "x"', "remark"),
        ('code = "SOME-RULE"\n', "", "code"),
        ('place = ""', 'place = ""\nlate = "yes"', "late"),
        ('place = ""', 'place = ""\nfinding = "support.nothing"', "support.nothing"),
        ("[[rule]]", "[[rule", "rules.toml"),
    ],
)
def test_a_broken_rule_file_names_file_rule_and_key(
    tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    """Nothing misspelt is silently without effect."""
    known = {source.key: source for source in sources()}
    path = tmp_path / "rules.toml"
    path.write_text(RULE, encoding="utf-8")
    assert read_rulebook(path, known).rules[0].code == "SOME-RULE"
    path.write_text(RULE.replace(right, wrong), encoding="utf-8")
    with pytest.raises(BadData, match=r"rules\.toml") as caught:
        read_rulebook(path, known)
    assert said in str(caught.value)


def test_every_field_feature_and_test_can_be_said() -> None:
    """A rule on any field, with any test, and any feature that no rule knows, has words in both languages."""
    for language in ("en", "zh"):
        for field in FIELDS:
            assert label(field).say(language)
        for feature in FEATURES:
            assert Sentence("support.feature_" + feature.replace("-", "_")).say(language)
        for test in TESTS:
            value = (1, 2) if test == "within" else "workload.heads" if test in FIELD_TESTS else 1
            assert Condition(field="workload.batch", test=test, value=value).needed.say(language)
