#!/usr/bin/env bash
# Starts a PostgreSQL and a RabbitMQ of one's own, on loopback, in one folder; for tests and for trying Homeward out.
#
#   deploy/local/servers.sh up [DIR]     start what is not running; DIR/env then holds the addresses to export
#   deploy/local/servers.sh down DIR     stop what `up` started there, and nothing else
#   deploy/local/servers.sh ports DIR    only choose the ports that `up` will take, and write them to DIR/ports
#
# DIR defaults to a new folder in the temporary directory. Started again on the same DIR, the servers keep their data
# and their ports, so a test may kill one (DIR/*.process: pid and birth), wait until it is gone, and call `up` again.
# Missing packages are installed with apt (as root, or through sudo); no service of the system starts.
#
#   HOMEWARD_DURABLE=1   write through to the disk (fsync, full_page_writes, synchronous_commit); for crash tests and
#                        benchmarks. Off by default: these servers then forget on a power cut, and are faster.
#   HOMEWARD_PREPARED=D  take certificates, passwords and users from the folder D that deploy/prepare.sh made: both servers
#                        then speak TLS only and ask for a password. Off by default: plain text, trusted on loopback.
set -euo pipefail

# Below 32768, where the system takes ports for outgoing connections: one of those could hold ours after a restart.
FIRST_POSTGRES_PORT=21432
FIRST_AMQP_PORT=21672
FIRST_MANAGEMENT_PORT=21772
FIRST_DISTRIBUTION_PORT=21872
FIRST_EPMD_PORT=21972

RABBITMQ=/usr/lib/rabbitmq/bin/rabbitmq-server

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=processes.sh
. "$HERE/processes.sh"

# ---------------------------------------------------------------- packages

find_postgres() { # prints the folder of PostgreSQL's programs, the newest version's
  local found
  found=$(find /usr/lib/postgresql -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
  if [[ -n $found ]]; then dirname "$found"; return; fi
  found=$(command -v initdb 2>/dev/null) && dirname "$(readlink -f "$found")"
}

install_missing() {
  local packages=()
  [[ -n $(find_postgres) ]] || packages+=(postgresql)
  [[ -x $RABBITMQ ]] || packages+=(rabbitmq-server)
  command -v setpriv >/dev/null || packages+=(util-linux)
  ((${#packages[@]})) || return 0
  command -v apt-get >/dev/null || die "needs ${packages[*]}: install them, this script only knows apt"
  local sudo=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "needs ${packages[*]}: install them, or run this as root"
    sudo=(sudo)
  fi
  echo "servers.sh: installing ${packages[*]}" >&2
  without_services "${sudo[@]}"
}

without_services() { # with a temporary policy that keeps new packages from starting their services
  local policy=/usr/sbin/policy-rc.d ours=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "$@" tee "$policy" >/dev/null
    "$@" chmod 755 "$policy"
    ours=1
  fi
  local status=0
  {
    "$@" apt-get update -q &&
      "$@" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
  } >&2 </dev/null || status=$?
  [[ -z $ours ]] || "$@" rm -f "$policy"
  ((status == 0)) || die "apt could not install ${packages[*]}"
}

# ---------------------------------------------------------------- ports

choose_ports() {
  if [[ ! -f $DIR/ports ]]; then
    {
      echo "POSTGRES_PORT=$(free_port "$FIRST_POSTGRES_PORT")"
      echo "AMQP_PORT=$(free_port "$FIRST_AMQP_PORT")"
      echo "MANAGEMENT_PORT=$(free_port "$FIRST_MANAGEMENT_PORT")"
      echo "DISTRIBUTION_PORT=$(free_port "$FIRST_DISTRIBUTION_PORT")"
      echo "EPMD_PORT=$(free_port "$FIRST_EPMD_PORT")"
    } >"$DIR/ports"
  fi
  # shellcheck disable=SC1091
  . "$DIR/ports"
}

# ---------------------------------------------------------------- PostgreSQL

postgres_answers() { "$PG/pg_isready" -q -h 127.0.0.1 -p "$POSTGRES_PORT" -t 1; }

start_postgres() {
  running postgres && return
  local as_postgres=() # it refuses to run as root
  if ((EUID == 0)); then as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups env "HOME=$DIR/postgres"); fi
  local settings=(-c max_connections=400 -c shared_buffers=512MB -c max_wal_size=2GB -c "unix_socket_directories=$DIR/postgres")
  local init=(-A trust)
  mkdir -p "$DIR/postgres"
  ((EUID != 0)) || chown postgres: "$DIR/postgres"
  if [[ -n ${HOMEWARD_PREPARED:-} ]]; then postgres_with_tls; fi
  if [[ -z ${HOMEWARD_DURABLE:-} ]]; then
    settings+=(-c fsync=off -c full_page_writes=off -c synchronous_commit=off)
    init+=(--no-sync)
  fi
  if [[ ! -f $DIR/postgres/data/PG_VERSION ]]; then
    "${as_postgres[@]}" "$PG/initdb" -D "$DIR/postgres/data" -U homeward -E UTF8 --locale=C.UTF-8 --no-instructions \
      "${init[@]}" >"$DIR/postgres.log" 2>&1 || die "initdb failed: $(tail -n 5 "$DIR/postgres.log")"
  fi
  # In a session of its own, so that Ctrl-C reaches only the script, which then stops it in order.
  setsid "${as_postgres[@]}" "$PG/postgres" -D "$DIR/postgres/data" -h 127.0.0.1 -p "$POSTGRES_PORT" "${settings[@]}" \
    </dev/null >>"$DIR/postgres.log" 2>&1 9>&- &
  remember postgres $!
}

postgres_with_tls() { # adds to settings and init; the server reads keys and passwords as its own user
  local from=$HOMEWARD_PREPARED/postgres to=$DIR/postgres/prepared each
  local mine=(install -m 600)
  ((EUID != 0)) || mine+=(-o postgres)
  mkdir -p "$to"
  for each in certificate.pem key.pem passwords/superuser; do "${mine[@]}" "$from/$each" "$to/${each##*/}"; done
  "${mine[@]}" "$HERE/../postgres/pg_hba.conf" "$to/pg_hba.conf"
  ((EUID != 0)) || chown postgres: "$to"
  settings+=(-c ssl=on -c "ssl_cert_file=$to/certificate.pem" -c "ssl_key_file=$to/key.pem" -c "hba_file=$to/pg_hba.conf")
  init=(-A scram-sha-256 "--pwfile=$to/superuser")
}

postgres_roles() { # one role and one schema for each service; may be run again
  local address="host=$DIR/postgres port=$POSTGRES_PORT user=homeward dbname=postgres"
  PASSWORDS=$HOMEWARD_PREPARED/postgres/passwords PGPASSWORD=$(<"$HOMEWARD_PREPARED/postgres/passwords/superuser") \
    "$PG/psql" --dbname "$address" --no-psqlrc --quiet --file "$HERE/../postgres/roles.sql" >>"$DIR/postgres.log" 2>&1 ||
    die "the services' roles could not be made; the end of $DIR/postgres.log:"$'\n'"$(tail -n 5 "$DIR/postgres.log")"
}

# ---------------------------------------------------------------- RabbitMQ

rabbitmq_listeners() {
  if [[ -z ${HOMEWARD_PREPARED:-} ]]; then
    echo "listeners.tcp.1 = 127.0.0.1:$AMQP_PORT"
    return
  fi
  cat <<CONF
listeners.tcp = none
listeners.ssl.1 = 127.0.0.1:$AMQP_PORT
ssl_options.cacertfile = $HOMEWARD_PREPARED/rabbitmq/ca.pem
ssl_options.certfile = $HOMEWARD_PREPARED/rabbitmq/certificate.pem
ssl_options.keyfile = $HOMEWARD_PREPARED/rabbitmq/key.pem
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
load_definitions = $HOMEWARD_PREPARED/rabbitmq/definitions.json
CONF
}

write_rabbitmq_settings() {
  mkdir -p "$DIR/rabbitmq/home"
  cat >"$DIR/rabbitmq/rabbitmq.conf" <<CONF
$(rabbitmq_listeners)
management.tcp.ip = 127.0.0.1
management.tcp.port = $MANAGEMENT_PORT
log.console = true
log.file = false
vm_memory_high_watermark.absolute = 512MiB
disk_free_limit.absolute = 50MB
CONF
  echo '[rabbitmq_management].' >"$DIR/rabbitmq/enabled_plugins"
  echo '[].' >"$DIR/rabbitmq/advanced.config"
  : >"$DIR/rabbitmq/rabbitmq-env.conf"
  # For a person, or a test, who wants rabbitmqctl: . DIR/rabbitmq/ctl && rabbitmqctl …
  cat >"$DIR/rabbitmq/ctl" <<CTL
export HOME=$DIR/rabbitmq/home RABBITMQ_NODENAME=hw@localhost ERL_EPMD_PORT=$EPMD_PORT
export PATH=$(dirname "$RABBITMQ"):\$PATH
CTL
}

start_epmd() { # Erlang's name server: one of our own, or the node would start one that outlives it
  running epmd && return
  setsid epmd -address 127.0.0.1 -port "$EPMD_PORT" </dev/null >>"$DIR/epmd.log" 2>&1 9>&- &
  remember epmd $!
  wait_until epmd epmd answers "$EPMD_PORT"
}

start_rabbitmq() {
  running rabbitmq && return
  write_rabbitmq_settings
  start_epmd
  local here=$DIR/rabbitmq
  local settings=(
    "HOME=$here/home" RABBITMQ_NODENAME=hw@localhost "RABBITMQ_MNESIA_BASE=$here/mnesia" "RABBITMQ_LOG_BASE=$here/log"
    "RABBITMQ_CONFIG_FILE=$here/rabbitmq.conf" "RABBITMQ_ADVANCED_CONFIG_FILE=$here/advanced.config"
    "RABBITMQ_ENABLED_PLUGINS_FILE=$here/enabled_plugins" "RABBITMQ_CONF_ENV_FILE=$here/rabbitmq-env.conf"
    "RABBITMQ_FEATURE_FLAGS_FILE=$here/feature_flags" "RABBITMQ_PID_FILE=$here/pid" "RABBITMQ_DIST_PORT=$DISTRIBUTION_PORT"
    "ERL_EPMD_PORT=$EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}"
  )
  setsid env "${settings[@]}" "$RABBITMQ" </dev/null >>"$DIR/rabbitmq.log" 2>&1 9>&- &
  remember rabbitmq $!
}

amqp_answers() { # a broker that is ready answers the protocol header with its first frame
  if [[ -n ${HOMEWARD_PREPARED:-} ]]; then
    local frame
    frame=$({ printf 'AMQP\0\0\011\001'; sleep 0.5; } | timeout 5 openssl s_client -quiet -no_ign_eof -connect "127.0.0.1:$AMQP_PORT" 2>/dev/null | head -c 9 | tr -d '\0')
    [[ -n $frame ]]
    return
  fi
  (
    exec 3<>"/dev/tcp/127.0.0.1/$AMQP_PORT" || exit 1
    printf 'AMQP\0\0\011\001' >&3
    LC_ALL=C read -r -N 1 -t 2 <&3
  ) 2>/dev/null
}

management_answers() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$MANAGEMENT_PORT" || exit 1
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    IFS= read -r -t 2 line <&3
    [[ $line == HTTP/* ]]
  ) 2>/dev/null
}

# ---------------------------------------------------------------- commands

open_folder() { # sets DIR, takes the lock, and chooses the ports
  DIR=${1:-$(mktemp -d "${TMPDIR:-/tmp}/homeward-servers.XXXXXX")}
  mkdir -p "$DIR"
  DIR=$(cd "$DIR" && pwd)
  chmod 755 "$DIR" # PostgreSQL runs as another user and must reach its folder
  # Two of these at once would choose the same ports: one after the other.
  exec 9>"${TMPDIR:-/tmp}/homeward-servers.$EUID.lock"
  flock 9
  choose_ports
}

up() {
  install_missing
  open_folder "${1:-}"
  PG=$(find_postgres) || die "PostgreSQL is installed, but its programs are neither in /usr/lib/postgresql nor in PATH"
  [[ -x $RABBITMQ ]] || die "RabbitMQ is installed, but not as $RABBITMQ"
  start_postgres
  start_rabbitmq
  wait_until PostgreSQL postgres postgres_answers
  wait_until RabbitMQ rabbitmq amqp_answers
  remember rabbitmq "$(<"$DIR/rabbitmq/pid")" # until now its starter, from here the broker itself
  wait_until "RabbitMQ's management" rabbitmq management_answers
  exec 9>&-
  if [[ -n ${HOMEWARD_PREPARED:-} ]]; then
    postgres_roles
    echo "PostgreSQL on $POSTGRES_PORT, RabbitMQ on $AMQP_PORT, both with TLS"
    return
  fi
  cat >"$DIR/env" <<ENV
export HOMEWARD_TEST_POSTGRES=postgres://homeward@127.0.0.1:$POSTGRES_PORT/postgres
export HOMEWARD_TEST_AMQP=amqp://guest:guest@127.0.0.1:$AMQP_PORT
export HOMEWARD_TEST_AMQP_MANAGEMENT=http://guest:guest@127.0.0.1:$MANAGEMENT_PORT
export HOMEWARD_TEST_SERVERS=$DIR
ENV
  echo "PostgreSQL on $POSTGRES_PORT, RabbitMQ on $AMQP_PORT: . $DIR/env"
}

down() {
  [[ -d ${1:-} ]] || die "down needs the folder that up was given"
  DIR=$(cd "$1" && pwd)
  stop rabbitmq TERM
  stop epmd TERM
  stop postgres INT # ends sessions and shuts down in order
  rm -f "$DIR/env"
}

case ${1:-} in
  up) up "${2:-}" ;;
  down) down "${2:-}" ;;
  ports) open_folder "${2:?ports needs a folder}" ;;
  *) die "usage: servers.sh up [DIR] | servers.sh down DIR | servers.sh ports DIR" ;;
esac
