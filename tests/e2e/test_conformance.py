"""Origins against real object stores: the same cases as against the fake one, on Azurite and versitygw."""

import os
import subprocess

import pytest
from conftest import program_path


@pytest.mark.seconds(600)  # the first start installs the server
@pytest.mark.parametrize("kind, variable", [("azurite", "FOREBAY_TEST_AZURE_URL"), ("versitygw", "FOREBAY_TEST_S3_URL")])
def test_a_real_store_answers_as_an_origin_must(real_server, kind, variable):
    endpoint = real_server(kind).endpoint
    if kind == "azurite" and "devstoreaccount1" not in endpoint:
        endpoint += "/devstoreaccount1"
    name = "Azure" if kind == "azurite" else "S3"
    done = subprocess.run(
        [program_path("origin_conformance_test"), f"--gtest_filter=*/{name}"],
        env={**os.environ, variable: endpoint},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"Conformance.oddNamesAreReadAndListedAsTheyAre/{name}" in done.stdout
    assert "SKIPPED" not in done.stdout
