"""Verifies tries, one in a line, by the receivers' own library, and says how many were good."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

good = 0
for line in sys.stdin:
    attempt = json.loads(line)
    try:
        Webhook(attempt["secret"]).verify(attempt["body"].encode(), attempt["headers"])
        good += 1
    except WebhookVerificationError as error:
        print(f"{attempt['headers'].get('webhook-id')}: {error}", file=sys.stderr)
print(good)
