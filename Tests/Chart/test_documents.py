"""What is made of values.yaml is that of values.yaml, and every value says what it is."""
import os
import subprocess
import sys

from chart import CHART, EXAMPLES, ROOT


def test_schema_and_readme_are_up_to_date():
    done = subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "chart-schema"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_names_every_example():
    with open(os.path.join(CHART, "README.md")) as file:
        text = file.read()
    assert [e for e in EXAMPLES if f"(examples/{e})" not in text] == []
