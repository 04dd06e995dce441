# store_in_postgresql.py PORT CONNECTION: keeps each event. To be complete: the signature, as docs/set-up-webhook.md checks it.
import http.server, json, psycopg2, sys

database = psycopg2.connect(sys.argv[2])
database.autocommit = True
database.cursor().execute(
    "create table if not exists mail (id text primary key, sender text, subject text, body text, reply text, event jsonb)")

class IncomingMail(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = event["data"]["message"]
        sender = ", ".join(one["address"] or one["name"] or "" for one in message["from"])
        row = event["id"], sender, message["subject"], message["text"], (message["reply"] or {}).get("text"), json.dumps(event)
        database.cursor().execute("insert into mail values (%s, %s, %s, %s, %s, %s) on conflict do nothing", row)
        self.send_response(204)
        self.end_headers()

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), IncomingMail)
print(server.server_port, flush=True)
server.serve_forever()
