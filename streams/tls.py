"""TLS to the servers: what a client in Python speaks it with, and why a server that listens does not let us in."""

import socket
import ssl
from contextlib import closing, suppress

from streams.errors import UsageError
from streams.files import refuse_shared
from streams.settings import TlsSettings

CONNECT_S = 2.0
"""What listens takes a connection, and answers the first word, within it."""
_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAMES = (62, 64)
"""Of OpenSSL's codes of what is wrong with a certificate: for another name, for another address."""
_OF_OURS = ("ALERT_CERT", "ALERT_BAD_CERT", "ALERT_UNSUPPORTED_CERT", "ALERT_UNKNOWN_CA", "ALERT_ACCESS_DENIED")
"""In OpenSSL's names of what a server says when it does not take our certificate."""
_TLS_ON = {"kafka": "set kafka.protocol to ssl or sasl_ssl", "redis": "have redis.url begin with rediss://"}
_TLS_OFF = {
    "kafka": "correct kafka.protocol, or the port",
    "redis": "have redis.url begin with redis://, or correct its port",
}


def context(its: TlsSettings, section: str) -> ssl.SSLContext:
    """Return what connections to a server are encrypted with.

    Raises
    ------
    UsageError
        When a file of the section's settings cannot be used.
    """
    try:
        made = ssl.create_default_context(cafile=its.ca)
    except OSError as error:
        raise UsageError(f"{its.ca} of {section}.ca is no file of certificates (PEM): {_said(error)}") from None
    if its.certificate is not None and its.key is not None:
        try:
            refuse_shared(its.key, its.key.stat())
            # A password in any case: without one OpenSSL asks whoever sits at the terminal.
            made.load_cert_chain(its.certificate, its.key, its.key_password.get_secret_value())
        except OSError as error:
            raise UsageError(
                f"{its.certificate} of {section}.certificate and {its.key} of {section}.key are no certificate with "
                f"its key (PEM), or {section}.key_password is another: {_said(error)}"
            ) from None
        except ValueError as error:
            raise UsageError(f"{section}.key: {error}") from None
    return made


def listens(host: str, port: int) -> bool:
    """Say whether somebody takes connections there."""
    try:
        with socket.create_connection((host, port), CONNECT_S):
            return True
    except OSError:
        return False


def refusal(host: str, port: int, its: TlsSettings, section: str, *, is_encrypted: bool, greeting: bytes) -> str:
    """Return why a server and we do not understand each other, and what to correct; empty if it is not for TLS.

    Parameters
    ----------
    its, section
        How it is reached, and where in the settings that stands.
    is_encrypted
        Whether we speak TLS to it.
    greeting
        What such a server answers, whoever asks.
    """
    if not is_encrypted:
        return f"it speaks TLS: {_TLS_ON[section]}" if _speaks_tls(host, port) else ""
    is_open = False
    try:
        plain = socket.create_connection((host, port), CONNECT_S)
        with closing(plain), context(its, section).wrap_socket(plain, server_hostname=host) as there:
            is_open = True
            there.sendall(greeting)  # only then a server says that it does not take our certificate
            return "" if there.recv(1) else _ends_it(its, section)
    except TimeoutError:  # a Redis without TLS waits for more, and so does what hangs
        return f"it speaks no TLS: {_TLS_OFF[section]}" if _answers(host, port, greeting) else ""
    except ssl.SSLCertVerificationError as error:
        return _of_its_certificate(error, host, its, section)
    except OSError as error:
        if isinstance(error, ssl.SSLError) and any(part in str(error.reason) for part in _OF_OURS):
            return _of_our_certificate(its, section, str(error.reason))
        return _ends_it(its, section) if is_open else f"it speaks no TLS: {_TLS_OFF[section]}"


def _of_our_certificate(its: TlsSettings, section: str, said: str) -> str:
    files = f"{section}.certificate and {section}.key"
    if its.certificate is None:
        return f"it wants a certificate of ours ({said}): give {files}"
    return f"it does not take our certificate ({said}): correct {files}"


def _ends_it(its: TlsSettings, section: str) -> str:
    """Return the words for a server that ends the connection when TLS stands, and says no more."""
    return _of_our_certificate(its, section, "it ends the connection when TLS stands")


def _of_its_certificate(error: ssl.SSLCertVerificationError, host: str, its: TlsSettings, section: str) -> str:
    why = error.verify_message
    if error.verify_code == _EXPIRED:
        return "its certificate has expired: have it renewed"
    if error.verify_code == _NOT_YET:
        return "its certificate is not valid yet: look at the clocks"
    if error.verify_code in _OTHER_NAMES:
        return f"its certificate is for another name ({why}): use the certificate's, or have {host} added"
    if its.ca is None:
        return f"its certificate is of nobody whom this machine trusts ({why}): give {section}.ca"
    return f"its certificate is of nobody whom {section}.ca knows ({why}): correct {section}.ca"


def _speaks_tls(host: str, port: int) -> bool:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE  # nothing is said to it
    try:
        plain = socket.create_connection((host, port), CONNECT_S)
        with closing(plain), anybody.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)
    except OSError:
        return False


def _answers(host: str, port: int, greeting: bytes) -> bool:
    """Say whether a server answers without TLS."""
    with suppress(OSError), closing(socket.create_connection((host, port), CONNECT_S)) as plain:
        plain.sendall(greeting)
        return bool(plain.recv(1))
    return False


def _said(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror)
