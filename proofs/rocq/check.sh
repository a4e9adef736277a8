#!/bin/sh
# check.sh FLAGS FILE...: fail if a file leaves a proof open, or if the theorem rests on an axiom that is not
# one of Stdlib's four, or if Rocq itself fails.
set -eu
flags=$1
shift

if grep -nwE 'Admitted|admit|Abort|Axiom|Axioms|Parameter|Parameters|Conjecture|bypass_check|Unset Guard Checking|Unset Universe Checking|Unset Positivity Checking' "$@"; then
    echo "check: a proof is left open, or something is assumed (above)" >&2
    exit 1
fi

out=$(mktemp)
trap 'rm -f "$out"' EXIT
# No pipe here: it would hide the exit status of coqc.
# shellcheck disable=SC2086
if ! coqc $flags assumptions.v > "$out" 2>&1; then
    cat "$out" >&2
    echo "check: coqc failed on assumptions.v" >&2
    exit 1
fi
if ! grep -q '^Axioms:' "$out" || ! grep -q 'theorem1_statement' "$out"; then
    cat "$out" >&2
    echo "check: assumptions.v printed something else than the theorem and its axioms" >&2
    exit 1
fi

# The names at the start of a line after "Axioms:".
axioms=$(sed '1,/^Axioms:/d' "$out" | sed -n 's/^\([A-Za-z_][A-Za-z_0-9.]*\).*$/\1/p' | sort -u)
[ -n "$axioms" ] || { echo "check: no axioms listed; real numbers need some" >&2; exit 1; }
for axiom in $axioms; do
    case $axiom in
        ClassicalDedekindReals.sig_not_dec | ClassicalDedekindReals.sig_forall_dec) ;;
        FunctionalExtensionality.functional_extensionality_dep) ;;
        Classical_Prop.classic) ;;
        *) echo "check: unexpected axiom $axiom" >&2; exit 1 ;;
    esac
done
echo "Theorem 1 is proved; it rests on Stdlib's axioms alone:"
echo "$axioms"
