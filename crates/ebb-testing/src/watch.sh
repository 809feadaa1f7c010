# Keeps a PostgreSQL server for as long as somebody holds the other end of stdin, and leaves nothing behind.
# $1: the server's programs; $2: `durable`, or `fast` for tests, which may lose their rows. Prints the folder of the server's socket once it answers.
set -eu
home=$(mktemp -d "${TMPDIR:-/tmp}/ebb-postgres.XXXXXX")
server=
leave() {
    if [ -n "$server" ]; then
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    cd /
    rm -rf "$home"
}
trap leave EXIT
cd "$home"

"$1/initdb" --pgdata=data --username=ebb --auth=trust --encoding=UTF8 --locale=C --no-sync >log 2>&1 || {
    cat log >&2
    exit 1
}
case $2 in
durable) set -- "$1" -c shared_buffers=256MB ;;
*) set -- "$1" -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB ;;
esac
programs=$1
shift
# Should this script be killed, the server dies with it.
setpriv --pdeathsig KILL "$programs/postgres" "$@" -D data -c listen_addresses= -c unix_socket_directories="$home" \
    -c max_connections=300 -c logging_collector=off </dev/null >>log 2>&1 &
server=$!
until "$programs/pg_isready" -q -h "$home"; do
    kill -0 "$server" 2>/dev/null || {
        cat log >&2
        exit 1
    }
    sleep 0.02
done
echo "$home"
# Ends when the test process does, however it ends.
cat >/dev/null
