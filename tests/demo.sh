# Shows the whole program on a demo cache: what is in it, what the policy would do, what it did.
set -eu
directory=$1

show() {
    printf '\n$ audio-cache-daemon %s\n' "$*"
    audio-cache-daemon --config "$directory/config.yaml" "$@"
}

audio-cache-daemon demo "$directory"
show stats
# The demo's policy leaves files alone for a minute after they were found missing or without a row.
show run-once --cache exhibit --dry-run --limit 12
show run-once --cache exhibit
show stats --cache exhibit
show audit --limit 8
show audit verify
show trash list --cache exhibit
printf '\nIn the damaged cache nothing can be told an orphan, and that is said:\n'
show run-once --cache damaged
