import functools
import os
import tempfile

import pytest

import chart


def pytest_configure(config):
    missing = [name for name in ("HELM", "HELM3", "KUBECTL") if not getattr(chart, name)]
    if missing:
        raise pytest.UsageError(f"no {', '.join(missing)}: run scripts/setup --test, or name programs in these variables")


@functools.lru_cache(maxsize=None)
def _read(kind, text):
    with tempfile.TemporaryDirectory() as folder:
        keys = {"database-url": "postgres://u:p@db/parley", "redis-url": "redis://:p@redis:6379/0"}
        for key in ("state-key", "api-token", "postgres-password", "redis-password", "crm-token", "s3-access-key", "s3-secret-key"):
            keys[key] = f"{key}-0123456789-0123456789-0123456789"
        # Written by an init container.
        keys["address"] = "192.0.2.1"
        for key, value in keys.items():
            with open(os.path.join(folder, key), "w") as file:
                file.write(value)
        path = os.path.join(folder, "file.yaml")
        with open(path, "w") as file:
            file.write(text.replace("/run/secrets/parley", folder).replace("/etc/voice-gateway/address", f"{folder}/address"))
        done = chart.run(chart.PARLEY, kind, "check", path)
        return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture
def unread():
    """What the gateway itself does not take of the configuration files and dialogs of a rendering."""
    def of(release):
        if not chart.PARLEY:
            return []
        asked = [("config", name, text) for name, text in release.files().items()]
        asked += [("dialog", name, text) for name, text in release.dialogs().items()]
        return [f"{name}: {said}" for kind, name, text in asked for said in [_read(kind, text)] if said]

    return of


@pytest.fixture(scope="session")
def defaults():
    return chart.render()
