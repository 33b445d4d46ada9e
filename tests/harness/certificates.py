"""Certificates for tests that speak TLS."""

import shutil
import subprocess
from pathlib import Path

import pytest


def certificate_in(directory: Path) -> Path:
    """Make a certificate for `localhost` that signs itself, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = directory / "localhost.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    command = [openssl, *words.split(), "-addext", "subjectAltName=DNS:localhost"]
    key, made = directory / "key.pem", directory / "made.pem"
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    path.write_bytes(key.read_bytes() + made.read_bytes())
    return path
