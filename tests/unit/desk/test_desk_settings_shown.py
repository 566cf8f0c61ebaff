"""Settings are shown without what could let somebody in."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.desk.settings_shown import MASK, masked, settings_shown
from dicomnode.settings import Settings

WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789!$'()*+,;=:-._~%&", min_size=6, max_size=30)


@given(user=st.text("abcdefghij", max_size=8), password=WORD)
def test_no_password_of_an_address_is_seen(user: str, password: str) -> None:
    shown = masked(f"postgresql+psycopg://{user}:{password}@db.example:5432/node?sslmode=require")
    assert shown == f"postgresql+psycopg://{user}:{MASK}@db.example:5432/node?sslmode=require"


def test_passwords_in_a_query_and_addresses_without_one() -> None:
    assert masked("postgresql://db/node?user=x&password=hunter2&sslmode=on") == (
        f"postgresql://db/node?user=x&password={MASK}&sslmode=on"
    )
    for plain in ("sqlite:////var/lib/node.db", "https://dicom.example:8443", "10.0.0.0/8", "postgresql://me@db/node"):
        assert masked(plain) == plain


def test_every_setting_has_its_line_and_secrets_none(tmp_path: Path) -> None:
    secret = "a-secret-of-the-provider"
    oidc = {"issuer": "https://sign-in.example", "client_id": "node", "client_secret": secret, "roles": {"a": "viewer"}}
    settings = Settings(
        database={"url": f"postgresql+psycopg://node:{secret}@db/node"},
        web={"oidc": oidc, "public_url": "https://dicom.example"},
        store={"root": tmp_path},
    )
    lines = dict(settings_shown(settings))
    assert not any(secret in value for value in lines.values())
    assert lines["web.oidc.client_secret"] == MASK
    assert lines["database.url"] == f"postgresql+psycopg://node:{MASK}@db/node"
    assert lines["store.root"] == str(tmp_path)
    assert lines["web.silence_hours"] == "4.0"
    assert lines["web.oidc.issuer"] == "https://sign-in.example"
    sections = {name.partition(".")[0] for name in lines}
    assert sections == set(Settings.model_fields)


def test_a_secret_that_is_not_set_is_not_masked() -> None:
    oidc = {"issuer": "https://sign-in.example", "client_id": "node", "roles": {"a": "viewer"}}
    lines = dict(settings_shown(Settings(web={"oidc": oidc, "public_url": "https://d.example"})))
    assert lines["web.oidc.client_secret"] == ""
