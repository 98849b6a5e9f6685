"""What a test needs to be a user without any privilege: user nobody."""

NOBODY = 65534


def as_nobody(*command):
    return [
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", *map(str, command)
    ]


# A mount namespace in which anybody may open /dev/fuse, as udev has it; containers often leave it to root.
FUSE_FOR_ALL = """
set -e
mount -t tmpfs -o mode=755 forebay-test "$1"
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
shift
exec "$@"
"""
