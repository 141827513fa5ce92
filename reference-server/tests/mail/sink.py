"""A mail server: aiosmtpd on a free port of 127.0.0.1.

    sink.py PLAIN|STARTTLS|TLS [CHAIN.pem KEY.pem USER PASSWORD]

It prints its port, then each letter that it takes as a line of JSON. With a user it takes letters from
that one alone. It is busy until a line comes on its standard input.
"""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self):
        self.is_busy = True

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.is_busy:
            return "451 4.3.2 not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        letter = message_from_bytes(envelope.content, policy=policy.default)
        print(
            json.dumps(
                {
                    "envelope": {"from": envelope.mail_from, "to": envelope.rcpt_tos},
                    "headers": {name.lower(): str(value) for name, value in letter.items()},
                    "text": letter.get_content(),
                    "tls": session.ssl is not None or server.transport.get_extra_info("cipher") is not None,
                    "user": session.auth_data.login.decode() if session.auth_data else None,
                }
            ),
            flush=True,
        )
        return "250 OK"


def authenticator(user, password):
    def check(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (
            user.encode(),
            password.encode(),
        )
        return AuthResult(success=good, auth_data=data if good else None)

    return check


async def main(mode, *account):
    handler, loop = Handler(), asyncio.get_running_loop()
    context, settings = None, {"hostname": "sink.example"}
    if account:
        chain, key, user, password = account
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain, key)
        settings |= {"auth_required": True, "authenticator": authenticator(user, password)}
        settings |= {"auth_require_tls": mode == "STARTTLS"}
    if mode == "STARTTLS":
        settings |= {"tls_context": context, "require_starttls": True}
    server = await loop.create_server(
        lambda: SMTP(handler, loop=loop, **settings),
        "127.0.0.1",
        0,
        ssl=context if mode == "TLS" else None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)

    def take():
        if sys.stdin.readline():
            handler.is_busy = False
        else:
            loop.remove_reader(sys.stdin)

    loop.add_reader(sys.stdin, take)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
