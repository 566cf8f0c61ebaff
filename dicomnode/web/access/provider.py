"""An OpenID Connect provider: authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636).

Authlib speaks OAuth, joserfc checks signatures. What is believed of an answer: an ID token that is signed by the
provider's own key, for this node, in force, with the nonce of this very sign-in (Core 3.1.3.7); and what userinfo says
of the same subject (Core 5.3.2).
"""

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dicomnode.desk.accounts.vouched import Attempt, Vouched
from dicomnode.observe import in_short, log
from dicomnode.settings.web import LOOPBACK_NAMES, OidcSettings
from dicomnode.web.access.in_time import in_time

Answer = TypeVar("Answer")

SECONDS = 10.0
"""How long the provider is waited for: for its description with its keys, and for who somebody is."""
REMEMBERED_SECONDS = 600.0
"""How long its description and its keys are used before they are read again; keys sooner where one is unknown."""
AWAY_SECONDS = 5.0
"""How long one that did not answer, or not with sense, is not asked again: who waits holds a thread of the pages."""
LEEWAY = 60
"""Seconds that the two clocks may be apart."""
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
"""Signatures by a private key; never `none`, never one that our own secret could make."""

_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_USEFUL = ("userinfo_endpoint", "end_session_endpoint")
"""Its addresses in its description; none is used that is not safe."""


class ProviderFails(Exception):
    """The provider does not answer, or not as one may believe it. The message is what the person is told."""


class Provider:
    """The provider of the settings. Safe to share between threads."""

    def __init__(self, settings: OidcSettings, public_url: str) -> None:
        self._settings = settings
        self._redirect_uri = f"{public_url}/sign-in/back"
        self._left_uri = f"{public_url}/sign-in"
        self._lock = threading.Lock()
        self._read_at, self._failed_at = -REMEMBERED_SECONDS, -AWAY_SECONDS
        self._description: Mapping[str, Any] = {}
        self._keys = KeySet([])

    def address(self, attempt: Attempt) -> str:
        """Where to send the browser. Raises ProviderFails."""
        return _answered(lambda: self._address(attempt))

    def vouched(self, attempt: Attempt, code: str) -> Vouched:
        """Who came back with this code. Raises ProviderFails."""
        return _answered(lambda: self._vouched(attempt, code))

    def is_issuer(self, issuer: str | None) -> bool:
        """Whether an answer names this issuer (RFC 9207); one that names none passes, unless this one always does."""
        names_itself = self._description.get("authorization_response_iss_parameter_supported") is True
        return issuer == self._settings.issuer or (issuer is None and not names_itself)

    def sign_out_address(self) -> str:
        """Where somebody signs out at the provider (OpenID Connect RP-Initiated Logout 1.0, 2); empty where it has no
        such place, or does not answer. It asks the person, as the ID token is not kept that would say who they are.
        """
        try:
            _answered(self._read)
        except ProviderFails:
            return ""
        endpoint = self._description.get("end_session_endpoint")
        if not endpoint:
            return ""
        asked = {"client_id": self._settings.client_id, "post_logout_redirect_uri": self._left_uri}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def _address(self, attempt: Attempt) -> str:
        self._read()
        endpoint = self._description["authorization_endpoint"]
        with self._client() as client:
            url, _ = client.create_authorization_url(
                endpoint, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.code_verifier
            )
        return str(url)

    def _vouched(self, attempt: Attempt, code: str) -> Vouched:
        self._read()
        return in_time(lambda: self._told(attempt, code), SECONDS)

    def _told(self, attempt: Attempt, code: str) -> Vouched:
        """Whom an ID token and userinfo speak of."""
        with self._client() as client:
            endpoint = self._description["token_endpoint"]
            token = client.fetch_token(endpoint, code=code, code_verifier=attempt.code_verifier)
            claims = self._claims(token["id_token"], attempt.nonce)
            if any(name not in claims for name in (self._settings.name_claim, self._settings.groups_claim)):
                claims = {**self._userinfo(client, claims["sub"]), **claims}
        groups, subject = claims.get(self._settings.groups_claim, []), claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise TypeError("sub is no text")
        return Vouched(
            issuer=self._settings.issuer,
            subject=subject,
            name=str(claims.get(self._settings.name_claim, "")),
            display_name=str(claims.get("name", "")),
            groups=tuple(each for each in groups if isinstance(each, str)) if isinstance(groups, list) else (),
        )

    def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        try:
            decoded = jwt.decode(id_token, self._keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):  # the provider may have new keys since
            self._read(anew=True)
            decoded = jwt.decode(id_token, self._keys, algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
            azp={"essential": False, "value": self._settings.client_id},
        ).validate(decoded.claims)
        return decoded.claims

    def _userinfo(self, client: OAuth2Client, subject: str) -> dict[str, Any]:
        endpoint = self._description.get("userinfo_endpoint")
        if endpoint is None:
            return {}
        said = _document(client.get(endpoint))
        if said.get("sub") != subject:
            raise ValueError("userinfo speaks of somebody else")
        return said

    def _read(self, *, anew: bool = False) -> None:
        """The provider's description and keys, unless they are known and young (OpenID Connect Discovery 1.0, 4)."""
        with self._lock:
            if not anew and time.monotonic() - self._read_at < REMEMBERED_SECONDS:
                return
            if time.monotonic() - self._failed_at < AWAY_SECONDS:
                raise httpx.ConnectError("it had no answer a moment ago that is one")
            try:
                self._description, self._keys = in_time(self._described, SECONDS)
            except Exception:
                self._failed_at = time.monotonic()
                raise
            self._read_at = time.monotonic()

    def _described(self) -> tuple[Mapping[str, Any], KeySet]:
        """Its description and keys as they are now."""
        issuer = self._settings.issuer
        with httpx.Client(timeout=SECONDS, verify=self._trust) as client:
            description = _document(client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
            if description.get("issuer") != issuer:
                raise ValueError(f"it calls itself {description.get('issuer')}, not {issuer}")
            for name in _NEEDED:
                _check_address(str(description[name]), issuer)
            for name in _USEFUL:
                if description.get(name) is not None:
                    _check_address(str(description[name]), issuer)
            keys = KeySet.import_key_set(_document(client.get(description["jwks_uri"])))  # type: ignore[arg-type]
        return description, keys

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._secret() or None,
            scope=" ".join(self._settings.scopes),
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            leeway=0,  # the access token is used at once, however short its life
            timeout=SECONDS,
            verify=self._trust,
        )

    def _secret(self) -> str:
        file = self._settings.client_secret_file
        return file.read_text("utf-8").strip() if file else self._settings.client_secret.get_secret_value()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Who may vouch for the provider's own address; read once, since that takes longer than a request."""
        return ssl.create_default_context(cafile=self._settings.ca)


def _answered(ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns. Whatever can go wrong with a provider is one error, with the details in the log."""
    try:
        return ask()
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("the sign-in provider does not answer", error=in_short(error))
        raise ProviderFails("The sign-in provider does not answer. Try again, or sign in with a password.") from error
    except (AuthlibBaseError, JoseError, KeyError, OSError, TypeError, ValueError) as error:
        log.warning("the sign-in provider is not believed", error=in_short(error))
        raise ProviderFails("The sign-in provider did not confirm who you are. Begin again.") from error


def _document(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    found = response.json()
    if not isinstance(found, dict):
        raise TypeError("no JSON object")
    return found


def _check_address(address: str, issuer: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and urlsplit(issuer).hostname in LOOPBACK_NAMES):
        raise ValueError(f"{address} is not reached by https")
