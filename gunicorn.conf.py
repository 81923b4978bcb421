"""The settings of the web server; `gunicorn` reads them in the folder where it is called."""

wsgi_app = "dtadmin.wsgi:application"
# /metrics counts in its process, and what the bonus servers have answered is kept there.
workers = 1
threads = 16
timeout = 300  # seconds of silence: a large workbook keeps Python to itself while it is read
graceful_timeout = 100  # seconds that a stop leaves to pages under way, such as exports
keepalive = 75  # seconds, longer than nginx keeps a connection to use it again
limit_request_line = 8190  # as nginx has it; filters and sorts stand in the address
forwarded_allow_ips = ""  # which proxy is believed, dtadmin.middleware knows
loglevel = "error"  # below that it quotes what was sent, secrets included
control_socket_disable = True
