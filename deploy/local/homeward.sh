#!/usr/bin/env bash
# Homeward as separate processes on this machine: a PostgreSQL and a RabbitMQ of one's own with TLS, the simulated identity
# provider, and some replicas of every service, with the environment that docker-compose.yml gives them.
#
#   deploy/local/homeward.sh up [DIR] [--replicas N]    start what is not running, wait until all are ready, say where they are
#   deploy/local/homeward.sh down [DIR]                 stop what `up` started there, and nothing else; data stays
#   deploy/local/homeward.sh status [DIR]               each process, whether it is ready, and if not, why; exits 1 unless all are
#   deploy/local/homeward.sh logs [DIR] [NAME…]         the last lines of each log, or of those; --follow goes on
#
# DIR defaults to `homeward-local` in the repository. `. DIR/env` sets the command line up: `homeward list`, `homeward demo --remote`.
# A test may kill a process (DIR/NAME.process: pid and birth) and call `up` again, which starts it anew on the same port.
#
#   HOMEWARD_BINARY=FILE    the program; by default it is built here (debug)
#   HOMEWARD_DURABLE=       the database may forget on a power cut, and is faster
#   HOMEWARD_OTLP=ADDRESS   where traces go, for example http://127.0.0.1:4317
#   HOMEWARD_SIMULATOR_ARGUMENTS="--zero-delay --accounts 20000"    instead of the default below
set -euo pipefail

ROLES=(directory policy recovery notification patrol console)
MOST_REPLICAS=20
# Every port is this and something: gRPC 100 + 20 × role + replica, probes 300 + the same, console 500 + replica, simulator 600.
BASES=(17000 18000 19000 20000 23000 24000 25000 26000 27000 28000 29000 30000 31000)
SIMULATOR_ARGUMENTS="--lost-phones 20"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=processes.sh
. "$HERE/processes.sh"

# ---------------------------------------------------------------- where everything is

grpc_port() { echo $((BASE + 100 + 20 * $1 + $2)); } # number of the role, replica
probes_port() { echo $((BASE + 300 + 20 * $1 + $2)); }
console_port() { echo $((BASE + 500 + $1)); }
simulator_port() { echo $((BASE + 600 + $1)); } # 0: the provider and its pages; 1: control

every() { # command…: calls it with role, its number and replica, for each process of ours
  local role number=0 replica
  for role in "${ROLES[@]}"; do
    for ((replica = 0; replica < REPLICAS; replica++)); do "$@" "$role" "$number" "$replica"; done
    ((number += 1))
  done
}

taken() { # is any port of this base in use?
  local BASE=$1 offset TAKEN=
  for offset in 600 601; do
    if answers $((BASE + offset)); then TAKEN=1; fi
  done
  every note_taken
  [[ -n $TAKEN ]]
}

note_taken() { # role, its number, replica
  local port
  for port in "$(grpc_port "$2" "$3")" "$(probes_port "$2" "$3")" "$(console_port "$3")"; do
    if answers "$port"; then TAKEN=1; fi
  done
}

choose_base() { # kept with the data, so that addresses stay what they were
  local base
  if [[ ! -f $DIR/base ]]; then
    for base in "${BASES[@]}"; do
      if ! taken "$base"; then echo "$base" >"$DIR/base"; break; fi
    done
    [[ -f $DIR/base ]] || die "no range of ports is free: tried ${BASES[*]}"
  fi
  BASE=$(<"$DIR/base")
}

addresses() { # number of a role: its replicas as a list in TOML
  local replica list=
  for ((replica = 0; replica < REPLICAS; replica++)); do list+=",\"https://127.0.0.1:$(grpc_port "$1" "$replica")\""; done
  echo "[${list#,}]"
}

# ---------------------------------------------------------------- environments: docker-compose.yml says what each is for

environment() { # role, its number, replica: one variable a line
  local role=$1 here=$PREPARED/$1 number=0 each
  echo "HOMEWARD_CONFIG=$here/homeward.toml"
  echo "HOMEWARD__DATA_DIR=$DIR/data/$role-$3"
  echo "HOMEWARD__PUBLIC_URL=http://127.0.0.1:$(console_port 0)"
  echo "HOMEWARD__LISTEN__GRPC__ADDRESS=127.0.0.1:$(grpc_port "$2" "$3")"
  echo "HOMEWARD__LISTEN__PROBES=127.0.0.1:$(probes_port "$2" "$3")"
  echo "HOMEWARD__SERVICES__CA_FILE=$here/ca.pem"
  echo "HOMEWARD__SERVICES__CERTIFICATE_FILE=$here/certificate.pem"
  echo "HOMEWARD__SERVICES__KEY_FILE=$here/key.pem"
  for each in "${ROLES[@]}"; do
    [[ $each == console ]] || echo "HOMEWARD__SERVICES__${each^^}=$(addresses "$number")"
    ((number += 1))
  done
  [[ -z ${HOMEWARD_OTLP:-} ]] || echo "HOMEWARD__TELEMETRY__OTLP__ADDRESS=$HOMEWARD_OTLP"
  echo "HOMEWARD__TELEMETRY__LOG_FORMAT=json"
  echo "HOMEWARD__STORAGE__MIGRATE=false"
  echo "HOMEWARD__STORAGE__DECLARE=false"
  [[ $role == console ]] || stored "$here"
  case $role in
    recovery) echo "HOMEWARD__GRANTS__SIGNING_KEY_FILE=$here/grants.key" ;;
    # One folder for the letters of all replicas, in place of the mail catcher.
    notification)
      echo "HOMEWARD__NOTIFICATION__TRANSPORT=file"
      echo "HOMEWARD__NOTIFICATION__OUTBOX=$DIR/letters"
      ;;
    console) echo "HOMEWARD__LISTEN__CONSOLE=127.0.0.1:$(console_port "$3")" ;;
  esac
}

stored() {
  echo "HOMEWARD__STORAGE__DATABASE_FILE=$1/database.url"
  echo "HOMEWARD__STORAGE__BROKER_FILE=$1/broker.url"
  echo "HOMEWARD__STORAGE__BROKER_CA_FILE=$1/ca.pem"
}

with() { # file with an environment, command…: with that and nothing of ours but what tests of crashes ask for
  local variables=() name
  mapfile -t variables <"$1"
  shift
  for name in PATH HOME TMPDIR RUST_BACKTRACE HOMEWARD_BOUNDARY_FILE HOMEWARD_BOUNDARY_HALT; do
    [[ -z ${!name:-} ]] || variables+=("$name=${!name}")
  done
  exec env -i "${variables[@]}" "$@"
}

# ---------------------------------------------------------------- starting

find_binary() {
  if [[ -n ${HOMEWARD_BINARY:-} ]]; then
    [[ -x $HOMEWARD_BINARY ]] || die "HOMEWARD_BINARY=$HOMEWARD_BINARY is no program"
    BINARY=$(realpath "$HOMEWARD_BINARY")
    return
  fi
  export PATH="${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"
  command -v cargo >/dev/null || die "needs Rust, see https://rustup.rs, or HOMEWARD_BINARY"
  (cd "$TOP" && cargo build --locked --package homeward)
  BINARY=${CARGO_TARGET_DIR:-$TOP/target}/debug/homeward
}

start() { # name, file with its environment, arguments…; in a session of its own, so that Ctrl-C reaches only this script
  local name=$1 file=$2
  shift 2
  running "$name" && return
  (with "$file" setsid "$BINARY" "$@") </dev/null >>"$LOGS/$name.log" 2>&1 9>&- &
  remember "$name" $!
}

start_service() { # role, its number, replica
  local name=$1-$3
  environment "$@" >"$DIR/$name.environment"
  start "$name" "$DIR/$name.environment" serve "$1"
}

start_simulator() {
  local arguments
  read -ra arguments <<<"${HOMEWARD_SIMULATOR_ARGUMENTS:-$SIMULATOR_ARGUMENTS}"
  echo "HOMEWARD_SIMULATOR_TOKEN_FILE=$PREPARED/simulator/control.token" >"$DIR/simulator.environment"
  start simulator "$DIR/simulator.environment" simulator --listen "127.0.0.1:$(simulator_port 0)" \
    --control-listen "127.0.0.1:$(simulator_port 1)" "${arguments[@]}"
}

migrate() {
  { environment migrate 0 0; } | grep -v '__SERVICES__\|__LISTEN__' >"$DIR/migrate.environment"
  (with "$DIR/migrate.environment" "$BINARY" migrate all) </dev/null >>"$LOGS/migrate.log" 2>&1 9>&- ||
    die "the tables could not be brought up to date; the end of $LOGS/migrate.log:"$'\n'"$(tail -n 5 "$LOGS/migrate.log")"
}

# ---------------------------------------------------------------- asking

ask() { # port, path: sets STATUS and BODY; fails unless it is 200
  local line request
  STATUS='' BODY=''
  exec 8<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf -v request 'GET %s HTTP/1.0\r\n\r\n' "$2"
  { printf %s "$request" >&8; } 2>/dev/null || true
  IFS=' ' read -r -t 3 _ STATUS _ <&8 || true
  while IFS= read -r -t 3 line <&8 && [[ $line != $'\r' ]]; do :; done
  IFS= read -r -t 3 -d '' BODY <&8 || true
  exec 8<&-
  [[ $STATUS == 200 ]]
} 2>/dev/null

ready() { ask "$1" /readyz; }

wait_for_service() { wait_until "$1-$3" "$1-$3" ready "$(probes_port "$2" "$3")"; }

tell() { # role, its number, replica
  local name=$1-$3 probes pid
  probes=$(probes_port "$2" "$3")
  if ! running "$name"; then
    printf '%-16s %8s  gone\n' "$name" -
    ALL_READY=
  elif ready "$probes"; then
    printf '%-16s %8s  ready      gRPC 127.0.0.1:%s  probes http://127.0.0.1:%s\n' "$name" "$pid" "$(grpc_port "$2" "$3")" "$probes"
  else
    printf '%-16s %8s  not ready  %s\n' "$name" "$pid" "${BODY:-does not answer on port $probes}"
    ALL_READY=
  fi
}

tell_other() { # name, folder of its process file
  local pid DIR=$2
  if running "$1"; then printf '%-16s %8s  running\n' "$1" "$pid"; else printf '%-16s %8s  gone\n' "$1" -; ALL_READY=; fi
}

# ---------------------------------------------------------------- commands

# For a person and for tests: what the command line and `homeward demo --remote` read.
write_env() {
  cat >"$DIR/env" <<ENV
export HOMEWARD_SERVER=https://127.0.0.1:$(grpc_port 5 0)
export HOMEWARD_CA_FILE=$PREPARED/people/ca.pem
export HOMEWARD_ORGANISATION=northwind
export HOMEWARD_TOKEN_FILE=$PREPARED/people/hana.token
export HOMEWARD_APPROVER_TOKEN_FILE=$PREPARED/people/tom.token
export HOMEWARD_SIMULATOR=http://127.0.0.1:$(simulator_port 0)
export HOMEWARD_SIMULATOR_CONTROL=http://127.0.0.1:$(simulator_port 1)
export HOMEWARD_SIMULATOR_TOKEN_FILE=$PREPARED/people/simulator.token
export HOMEWARD_LETTERS=$DIR/letters
ENV
}

up() {
  find_binary
  mkdir -p "$LOGS" "$DIR/data" "$DIR/letters"
  chmod 700 "$DIR/data" "$DIR/letters"
  # Two of these at once would choose the same ports: one after the other.
  exec 9>"${TMPDIR:-/tmp}/homeward-local.$EUID.lock"
  flock 9
  echo "$REPLICAS" >"$DIR/replicas"
  choose_base
  "$HERE/servers.sh" ports "$DIR/servers" 9>&-
  local POSTGRES_PORT AMQP_PORT
  # shellcheck disable=SC1091
  . "$DIR/servers/ports"
  POSTGRES="127.0.0.1:$POSTGRES_PORT" RABBITMQ="127.0.0.1:$AMQP_PORT" PROVIDER="http://127.0.0.1:$(simulator_port 0)" \
    PROVIDER_PAGES="http://127.0.0.1:$(simulator_port 0)" "$HERE/../prepare.sh" "$PREPARED" >/dev/null
  start_simulator
  HOMEWARD_PREPARED=$PREPARED HOMEWARD_DURABLE=${HOMEWARD_DURABLE-1} "$HERE/servers.sh" up "$DIR/servers" 9>&-
  migrate
  every start_service
  wait_until "the simulator" simulator answers "$(simulator_port 0)"
  every wait_for_service
  write_env
  exec 9>&-
  status || true
  echo
  echo "pages        http://127.0.0.1:$(console_port 0)"
  echo "provider     http://127.0.0.1:$(simulator_port 0)/fake/sign-in"
  echo "letters      $DIR/letters"
  echo "command line . $DIR/env && $BINARY list"
}

down() {
  [[ -d $DIR ]] || die "$DIR is not there"
  # All are told at once, and then waited for: draining takes seconds.
  local file pid
  for file in "$DIR"/*.process; do
    [[ -e $file ]] || continue
    file=${file##*/}
    if running "${file%.process}"; then kill -s TERM "$pid" 2>/dev/null || true; fi
  done
  for file in "$DIR"/*.process; do
    [[ -e $file ]] || continue
    file=${file##*/}
    stop "${file%.process}" TERM
  done
  [[ ! -d $DIR/servers ]] || "$HERE/servers.sh" down "$DIR/servers"
  rm -f "$DIR/env"
}

status() {
  [[ -f $DIR/base ]] || die "nothing was started in $DIR"
  BASE=$(<"$DIR/base")
  REPLICAS=$(<"$DIR/replicas")
  ALL_READY=1
  tell_other postgres "$DIR/servers"
  tell_other rabbitmq "$DIR/servers"
  tell_other simulator "$DIR"
  every tell
  [[ -n $ALL_READY ]]
}

logs() {
  local files=() name follow=()
  for name in "$@"; do
    if [[ $name == --follow ]]; then follow=(--follow=name --retry); else files+=("$LOGS/$name.log"); fi
  done
  ((${#files[@]})) || files=("$LOGS"/*.log)
  exec tail -n 40 "${follow[@]}" "${files[@]}"
}

usage() { die "usage: homeward.sh up [DIR] [--replicas N] | down [DIR] | status [DIR] | logs [DIR] [NAME…] [--follow]"; }

command=${1:-}
shift || true
DIR=$TOP/homeward-local
if [[ ${1:-} == */* || ${1:-} == . || -d ${1:-} ]]; then
  DIR=$1
  shift
fi
[[ $command != up ]] || mkdir -p "$DIR"
DIR=$(realpath -m "$DIR")
LOGS=$DIR/logs
PREPARED=$DIR/prepared
REPLICAS=1
if [[ $command == up && ${1:-} == --replicas ]]; then
  REPLICAS=${2:-}
  if [[ ! $REPLICAS =~ ^[1-9][0-9]?$ ]] || ((REPLICAS > MOST_REPLICAS)); then
    die "--replicas takes a number from 1 to $MOST_REPLICAS"
  fi
  shift 2
fi
[[ $command == logs || $# == 0 ]] || usage
case $command in
  up | down | status) "$command" ;;
  logs) logs "$@" ;;
  *) usage ;;
esac
