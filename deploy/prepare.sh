#!/usr/bin/env bash
# Makes what every process of a distributed Homeward needs before it starts: a certificate authority, a certificate, the
# passwords and addresses of one role each, the broker's users, the people's tokens, and the settings.
#
#   deploy/prepare.sh FOLDER
#
# FOLDER/<role>/ is all that the role may see; it is mounted (compose) or read (deploy/local) by that role only.
# What is there is kept, so it may be run again: only a certificate that ends within 30 days is made anew.
# For trying out and for tests. In production your own authority and your own secret store take its place.
#
#   SEEN_AS         the path under which a process sees its folder       (default: FOLDER/<role> itself)
#   POSTGRES        host:port of PostgreSQL, with TLS                    (default postgres:5432)
#   RABBITMQ        host:port of RabbitMQ, with TLS                      (default rabbitmq:5671)
#   PROVIDER        the identity provider's API, as services reach it    (default http://simulator:7090)
#   PROVIDER_PAGES  its pages, as people reach them                      (default http://127.0.0.1:7090)
set -euo pipefail
umask 077

ROLES=(directory policy recovery notification patrol console)
KEEPS_TABLES=(directory policy recovery notification patrol)
SPEAKS_TO_PROVIDER=(directory policy patrol)
CERTIFICATE_DAYS=365
RENEW_SECONDS=$((30 * 24 * 60 * 60))

POSTGRES=${POSTGRES:-postgres:5432}
RABBITMQ=${RABBITMQ:-rabbitmq:5671}
PROVIDER=${PROVIDER:-http://simulator:7090}
PROVIDER_PAGES=${PROVIDER_PAGES:-http://127.0.0.1:7090}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { echo "prepare.sh: $*" >&2; exit 1; }

seen_as() { echo "${SEEN_AS:-$FOLDER/$1}"; } # the path of $1's folder, as its process sees it

keep() { # file, command…: what the command prints becomes the file, unless it is there
  local file=$1
  shift
  [[ ! -s $file ]] || return 0
  "$@" >"$file.new"
  mv "$file.new" "$file"
}

# ---------------------------------------------------------------- certificates

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null; }

authority() {
  mkdir -p "$FOLDER/authority"
  cd "$FOLDER/authority"
  keep ca.key new_key
  keep ca.pem openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/O=Homeward/CN=Homeward's own authority" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

lasts() { openssl x509 -in "$1" -noout -checkend "$RENEW_SECONDS" >/dev/null 2>&1; }

certificate() { # name, subject alternative names…: NAME/{ca,certificate,key}.pem
  local folder=$FOLDER/$1 name=$1 names=$2
  cp "$FOLDER/authority/ca.pem" "$folder/ca.pem"
  [[ -s $folder/key.pem ]] && lasts "$folder/certificate.pem" && return
  keep "$folder/key.pem" new_key
  openssl req -new -key "$folder/key.pem" -subj "/O=Homeward/CN=$name" |
    openssl x509 -req -sha256 -days "$CERTIFICATE_DAYS" -CA "$FOLDER/authority/ca.pem" -CAkey "$FOLDER/authority/ca.key" \
      -set_serial "0x$(openssl rand -hex 16)" -out "$folder/certificate.pem.new" -extfile <(
        echo "basicConstraints=critical,CA:FALSE"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=serverAuth,clientAuth"
        echo "subjectAltName=$names"
      ) 2>/dev/null
  mv "$folder/certificate.pem.new" "$folder/certificate.pem"
}

# ---------------------------------------------------------------- passwords, tokens, addresses

new_secret() { openssl rand -hex 32; }

among() { # is $1 one of the others?
  local wanted=$1 each
  shift
  for each in "$@"; do [[ $each != "$wanted" ]] || return 0; done
  return 1
}

database_url() { # the role in PostgreSQL, the role here
  echo "postgres://homeward_$1:$(<"$FOLDER/postgres/passwords/$1")@$POSTGRES/homeward?sslmode=verify-full&sslrootcert=$(seen_as "$1")/ca.pem"
}

broker_url() { echo "amqps://homeward-$1:$(<"$FOLDER/rabbitmq/passwords/$1")@$RABBITMQ/%2f"; }

store_access() { # name: its own password at PostgreSQL and at RabbitMQ
  local name=$1
  keep "$FOLDER/postgres/passwords/$name" new_secret
  keep "$FOLDER/rabbitmq/passwords/$name" new_secret
  database_url "$name" >"$FOLDER/$name/database.url"
  broker_url "$name" >"$FOLDER/$name/broker.url"
}

grant_keys() { # recovery signs with it; policy knows the public half
  keep "$FOLDER/recovery/grants.key" openssl genpkey -algorithm ed25519
  # The last 32 bytes of the public key's DER are the key itself.
  openssl pkey -in "$FOLDER/recovery/grants.key" -pubout -outform DER | tail -c 32 | openssl base64 -A >"$FOLDER/policy/grants.public"
}

# ---------------------------------------------------------------- the broker's users

password_hash() { # as RabbitMQ keeps it: four bytes of salt, and SHA-256 over salt and password
  local salt
  salt=$(openssl rand -hex 4)
  {
    to_bytes "$salt"
    { to_bytes "$salt"; printf %s "$1"; } | openssl dgst -sha256 -binary
  } | openssl base64 -A
}

to_bytes() { # hexadecimal
  local hex=$1 at
  for ((at = 0; at < ${#hex}; at += 2)); do printf %b "\\x${hex:at:2}"; done
}

# What each role may say on the topic exchange: only recovery commands, all tell of their own events.
# crates/messaging/src/topology.rs has who hears it. Backslashes are doubled for JSON.
may_say() {
  case $1 in
    migrate) printf '%s' '^$' ;;
    recovery) printf '%s' '^(directory|policy|notification)\\.command\\.' ;;
    *) printf '%s' "^$1"'\\.event\\.' ;;
  esac
}

# The topology is declared by `homeward migrate` alone; the services (storage.declare = false) only look whether it is there.
definitions() {
  local users=() permissions=() topics=() name tags configure write read
  for name in operator migrate "${KEEPS_TABLES[@]}"; do
    tags='[]'
    case $name in
      operator) tags='["administrator"]' configure='.*' write='.*' read='.*' ;;
      migrate)
        configure='^(homeward(\\.dead)?|(directory|policy|recovery|notification|patrol)\\..+)$'
        write=$configure read=$configure
        ;;
      *) configure='^$' write='^homeward(\\.dead)?$' read="^$name"'\\..+$' ;;
    esac
    users+=("{\"name\":\"homeward-$name\",\"password_hash\":\"$(password_hash "$(<"$FOLDER/rabbitmq/passwords/$name")")\",\"hashing_algorithm\":\"rabbit_password_hashing_sha256\",\"tags\":$tags,\"limits\":{}}")
    permissions+=("{\"user\":\"homeward-$name\",\"vhost\":\"/\",\"configure\":\"$configure\",\"write\":\"$write\",\"read\":\"$read\"}")
    [[ $name == operator ]] || topics+=("{\"user\":\"homeward-$name\",\"vhost\":\"/\",\"exchange\":\"homeward\",\"write\":\"$(may_say "$name")\",\"read\":\".*\"}")
  done
  local IFS=,
  printf '{"vhosts":[{"name":"/"}],\n"users":[%s],\n"permissions":[%s],\n"topic_permissions":[%s]}\n' \
    "${users[*]}" "${permissions[*]}" "${topics[*]}"
}

# ---------------------------------------------------------------- settings

hash_of() { printf %s "$(<"$1")" | openssl dgst -sha256 -r | cut -d ' ' -f 1; }

settings() { # role: deploy/homeward.toml with the addresses and the people's hashes filled in
  local text
  text=$(<"$HERE/homeward.toml")
  text=${text//@provider@/$PROVIDER}
  text=${text//@provider-pages@/$PROVIDER_PAGES}
  text=${text//@identity@/$(seen_as "$1")}
  text=${text//@grants@/$(<"$FOLDER/policy/grants.public")}
  text=${text//@hana@/$(hash_of "$FOLDER/people/hana.token")}
  text=${text//@tom@/$(hash_of "$FOLDER/people/tom.token")}
  [[ ! $text =~ @[a-z-]+@ ]] || die "deploy/homeward.toml names a placeholder that this script does not fill"
  printf '%s\n' "$text"
}

# ---------------------------------------------------------------- everything

[[ $# == 1 && $1 != -* ]] || die "usage: prepare.sh FOLDER"
command -v openssl >/dev/null || die "needs openssl"
mkdir -p "$1"
FOLDER=$(cd "$1" && pwd)

authority
mkdir -p "$FOLDER"/{postgres,rabbitmq}/passwords "$FOLDER"/{migrate,people,simulator}
for each in "${ROLES[@]}"; do
  mkdir -p "$FOLDER/$each"
  certificate "$each" "DNS:$each.homeward.internal,DNS:$each,DNS:localhost,IP:127.0.0.1"
done
certificate postgres "DNS:postgres,DNS:localhost,IP:127.0.0.1"
certificate rabbitmq "DNS:rabbitmq,DNS:localhost,IP:127.0.0.1"
cp "$FOLDER/authority/ca.pem" "$FOLDER/migrate/ca.pem"
cp "$FOLDER/authority/ca.pem" "$FOLDER/people/ca.pem"

for each in migrate "${KEEPS_TABLES[@]}"; do store_access "$each"; done
keep "$FOLDER/postgres/passwords/superuser" new_secret
keep "$FOLDER/rabbitmq/passwords/operator" new_secret
keep "$FOLDER/rabbitmq/definitions.json" definitions
grant_keys

# The simulator's own keys, which work nowhere else; patrol gets the one that can only read.
for each in "${SPEAKS_TO_PROVIDER[@]}"; do echo ATCTT3xFfGN0-simulated-unscoped >"$FOLDER/$each/provider.key"; done
echo ATCTT3xFfGN0-simulated-reader >"$FOLDER/patrol/provider.key"
keep "$FOLDER/simulator/control.token" new_secret
for each in hana tom; do keep "$FOLDER/people/$each.token" new_secret; done
cp "$FOLDER/simulator/control.token" "$FOLDER/people/simulator.token"

for each in migrate "${ROLES[@]}"; do settings "$each" >"$FOLDER/$each/homeward.toml"; done
echo "prepared $FOLDER"
