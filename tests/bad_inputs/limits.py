"""The service that the bad requests are sent to: its settings and its token."""

TOKEN = "secret"  # of the service under test
BODY_BYTES_MAX, ROWS_MAX = 1 << 20, 100
SETTINGS = {"PLUMBLINE_MAX_BODY_BYTES": str(BODY_BYTES_MAX), "PLUMBLINE_MAX_ROWS": str(ROWS_MAX)}
