"""Log-in at a provider of OpenID Connect: it says who somebody is, and the users' file what role that is."""

import secrets
import time
from typing import Any, NamedTuple

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry
from requests.exceptions import RequestException

from streams.errors import ServerError
from streams.settings import AccessSettings

ANSWER_S = 5.0
WITHIN_S = 600.0
"""So long somebody may take at the provider."""
LEEWAY_S = 60
"""By which its clock may differ."""
_SIGNED_BY = ("RS256", "PS256", "ES256", "EdDSA")
"""By keys that the provider alone has."""


class Begun(NamedTuple):
    """What must come back, or is needed then; kept in the browser that began, signed."""

    state: str
    verifier: str
    nonce: str
    next: str
    """Where somebody came from."""
    until_s: float


class ProviderRefusedError(Exception):
    """What comes back is no log-in of this provider; its text says why, for the log."""


class Provider:
    """The provider of the settings.

    Raises
    ------
    ServerError
        From each of its functions, when it does not answer as one does.
    """

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self._issuer = settings.oidc_issuer or ""

    def begin(self, back: str, next_: str) -> tuple[str, Begun]:
        """Return where a browser goes to log in, and what it keeps meanwhile.

        Parameters
        ----------
        back
            Address at which it comes back.
        """
        session, told = self._session(back), self._metadata()
        begun = Begun(
            *(secrets.token_urlsafe(32), secrets.token_urlsafe(48), secrets.token_urlsafe(32)),
            next_,
            time.time() + WITHIN_S,
        )
        url, _ = session.create_authorization_url(
            told["authorization_endpoint"], state=begun.state, code_verifier=begun.verifier, nonce=begun.nonce
        )
        return str(url), begun

    def end(self, back: str, came: str, begun: Begun) -> str:
        """Return who has logged in, by the address at which the browser came back.

        Raises
        ------
        ProviderRefusedError
            When nobody has.
        """
        if time.time() >= begun.until_s:
            raise ProviderRefusedError("it took too long")
        told, session = self._metadata(), self._session(back)
        try:
            token = session.fetch_token(
                told["token_endpoint"],
                authorization_response=came,
                state=begun.state,
                code_verifier=begun.verifier,
                timeout=ANSWER_S,
            )
            keys = KeySet.import_key_set({"keys": self._get(told["jwks_uri"])["keys"]})
            claims = jwt.decode(str(token.get("id_token", "")), keys, algorithms=_SIGNED_BY).claims
            self._check(claims, begun)
        except (AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderRefusedError(f"{type(error).__name__}: {error}") from error
        except RequestException as error:
            raise self._away(error) from error
        name = claims.get(self._settings.oidc_claim)
        return name if isinstance(name, str) else ""

    def _check(self, claims: dict[str, Any], begun: Begun) -> None:
        client = self._settings.oidc_client
        JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": client},
            exp={"essential": True},
            nonce={"essential": True, "value": begun.nonce},
        ).validate(claims)
        if claims.get("azp", client) != client:
            raise ProviderRefusedError("it is for another client")

    def _session(self, back: str) -> OAuth2Session:
        its = self._settings
        return OAuth2Session(
            its.oidc_client,
            its.oidc_secret.get_secret_value(),
            scope="openid profile email",
            redirect_uri=back,
            code_challenge_method="S256",
        )

    def _metadata(self) -> dict[str, Any]:
        told = self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if told.get("issuer") != self._issuer:
            raise ServerError("the provider of access.oidc_issuer calls itself otherwise: correct the setting")
        return told

    def _get(self, address: str) -> dict[str, Any]:
        try:
            answer = self._session("").request("GET", address, withhold_token=True, timeout=ANSWER_S)
            answer.raise_for_status()
            told = answer.json()
        except RequestException as error:
            raise self._away(error) from error
        if not isinstance(told, dict):
            raise ServerError("the provider of access.oidc_issuer answers as none does")
        return told

    def _away(self, error: Exception) -> ServerError:
        # Not the error's own words: they may hold what was sent.
        return ServerError(f"the provider of access.oidc_issuer does not answer ({type(error).__name__})")
