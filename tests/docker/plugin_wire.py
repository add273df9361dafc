"""The volume plugin's wire, as dockerd speaks it. The socket is the importing script's first argument."""
import http.client
import json
import socket
import sys

SOCKET = sys.argv[1]


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(SOCKET)


def send(path, body, connection=None):
    """The answer as a dict, or None when the connection was closed without one."""
    c = connection or Connection()
    data = body if isinstance(body, (bytes, str)) else json.dumps(body) + "\n"
    try:
        c.putrequest("POST", "/" + path, skip_host=True)
        c.putheader("Host", "")
        c.putheader("Accept", "application/vnd.docker.plugins.v1.2+json")
        data = data.encode() if isinstance(data, str) else data
        c.putheader("Content-Length", str(len(data)))
        c.endheaders(data)
        return json.loads(c.getresponse().read())
    except (http.client.HTTPException, ConnectionError):
        c.close()
        return None
    finally:
        if not connection:
            c.close()


def call(verb, connection=None, **body):
    return send("VolumeDriver." + verb, body, connection)
