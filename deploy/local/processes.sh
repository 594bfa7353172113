# Processes that a script of this folder started: to be sourced. Each has a file DIR/NAME.process with its pid and its birth,
# which together name one process for good, and says what it says in LOGS/NAME.log. The caller sets DIR, and LOGS if it differs.
# shellcheck shell=bash

# Slow machines compile beside it; a start takes about 1 s (PostgreSQL) and 5 s (RabbitMQ) on an idle one.
START_SECONDS=120
STOP_SECONDS=30
PORTS_TO_TRY=90

die() { echo "${0##*/}: $*" >&2; exit 1; }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # is anyone listening on this port?

free_port() { # the first free one from $1 on
  local port
  for ((port = $1; port < $1 + PORTS_TO_TRY; port++)); do
    if ! answers "$port"; then echo "$port"; return; fi
  done
  die "no free port from $1 to $((port - 1))"
}

born() { # when process $1 started, in ticks since boot; nothing if it is gone. With the pid it names one process for good.
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  read -ra fields <<<"${stat##*) }" # behind the name, which may hold spaces: state, …, start time
  [[ ${fields[0]} == Z ]] || echo "${fields[19]}"
}

remember() { echo "$2 $(born "$2")" >"$DIR/$1.process"; }

running() { # does the process that `up` started as $1 still run? Sets pid.
  local birth
  [[ -f $DIR/$1.process ]] || return 1
  read -r pid birth <"$DIR/$1.process"
  [[ -n $birth && $(born "$pid") == "$birth" ]]
}

wait_until() { # what, name of the process, command…: repeats the command until it succeeds or the process is gone
  local what=$1 name=$2 deadline=$((SECONDS + START_SECONDS))
  shift 2
  until "$@"; do
    running "$name" || die "$what ended at once; the end of ${LOGS:-$DIR}/$name.log:"$'\n'"$(tail -n 20 "${LOGS:-$DIR}/$name.log")"
    ((SECONDS < deadline)) || die "$what does not answer after $START_SECONDS s; see ${LOGS:-$DIR}/$name.log"
    sleep 0.1
  done
}

stop() { # name, signal
  local name=$1 signal=$2 pid deadline=$((SECONDS + STOP_SECONDS))
  if running "$name"; then
    kill -s "$signal" "$pid" 2>/dev/null || true
    while running "$name"; do
      if ((SECONDS >= deadline)); then kill -s KILL "$pid" 2>/dev/null || true; fi
      sleep 0.05
    done
  fi
  rm -f "$DIR/$name.process"
}
