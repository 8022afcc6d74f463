"""Standard input → standard error without remarks that nobody needs: the program behind `bird_tf.without_chatter`.

What comes is passed on at once, also where a line has no end yet.
"""

import os
import re
import sys

# libmpg123's are of headers it can do without; what cannot be decoded gets a line of our own
_CHATTER = re.compile(
    rb"(?<![^\r\n])\n?(WARNING: All log messages before absl::|[IWE]0000 "
    rb"|\[src/libmpg123/|Note: (Illegal Audio-MPEG-Header|Trying to resync|Skipped |Hit end of )"
    rb"|Warning: (Xing stream size|Encountered more data|Big change|Real sample count)).*\n?"
)


def main(end: bytes) -> None:
    """Sifts until `end` is read, or nothing more can come."""
    ended = b""
    while not ended and (said := os.read(0, 1 << 16)):
        said, ended, _ = said.partition(end)
        kept = _CHATTER.sub(b"", said)
        while kept:
            kept = kept[os.write(2, kept) :]


if __name__ == "__main__":
    main(bytes.fromhex(sys.argv[1]))
