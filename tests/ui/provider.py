"""A small OpenID Connect provider on loopback that signs everybody in at once as whom it is told."""

import base64
import hashlib
import json
import secrets
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT, SECRET = "twofold-tests", "client-secret-that-nobody-may-see"


class Provider:
    """Whom it signs in, and with what false step, if any; what it gave out, so that tests can look for it."""

    def __init__(self, address):
        from joserfc.jwk import RSAKey

        self.address = address
        self.key, self.forger = (RSAKey.generate_key(2048, {"kid": "1"}, auto_kid=False) for _ in range(2))
        self.claims, self.false, self.asked, self.given = {}, "", {}, []

    def metadata(self):
        return {"issuer": self.address, "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token", "jwks_uri": f"{self.address}/keys",
                "end_session_endpoint": f"{self.address}/end", "response_types_supported": ["code"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"]}

    def authorize(self, query):
        """Where the browser goes on to: back to the app with a code."""
        code = secrets.token_urlsafe(16)
        self.asked[code] = query
        self.given.append(code)
        state = "x" * len(query["state"]) if self.false == "state" else query["state"]
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': state})}"

    def token(self, form, authorization):
        """The tokens for a code, once; None for whoever isn't the app."""
        from joserfc import jwt

        asked = self.asked.pop(form.get("code"), None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).decode()
        known = f"Basic {base64.b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"
        if asked is None or authorization != known or proof.rstrip("=") != asked["code_challenge"]:
            return None
        now = int(time.time())
        nonce = "another" if self.false == "nonce" else asked["nonce"]
        told = {"iss": self.address, "sub": "1", "aud": "somebody else" if self.false == "audience" else CLIENT,
                "iat": now, "exp": now + 600, "nonce": nonce, **self.claims}
        signed = jwt.encode({"alg": "RS256", "kid": "1"}, told, self.forger if self.false == "signature" else self.key)
        access = secrets.token_urlsafe(16)
        self.given += [signed, access]
        return {"access_token": access, "token_type": "Bearer", "expires_in": 600, "id_token": signed}


@contextmanager
def providing():
    """Run a provider on a free port of this machine until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.provider = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        provider, parts = self.server.provider, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/.well-known/openid-configuration":
            self._say(provider.metadata())
        elif parts.path == "/keys":
            self._say({"keys": [provider.key.as_dict(private=False)]})
        elif parts.path == "/authorize":
            self._go(provider.authorize(query))
        elif parts.path == "/end":
            self._go(query["post_logout_redirect_uri"])
        else:
            self.send_error(404)

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        made = self.server.provider.token({name: values[0] for name, values in form.items()},
                                          self.headers.get("Authorization"))
        self._say(made or {"error": "invalid_grant"}, 200 if made else 400)

    def _say(self, made, status=200):
        body = json.dumps(made).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _go(self, address):
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass
