#!/bin/sh
# build.sh OUTDIR: builds the fake NVIDIA management library into OUTDIR (libnvidia-ml.so.1) and the same
# with only the functions of driver 535 into OUTDIR/535. Needs a C compiler and GNU's or LLVM's linker.
set -eu
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/535"
out=$(cd "$1" && pwd)
compile() { # compile FILE [FLAG…]: a finished library takes the place of an older one in one step
	file=$1
	shift
	${CC:-cc} -std=gnu11 -O1 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -pthread -Wl,-soname,libnvidia-ml.so.1 \
		"$@" -o "$file.$$" "$here/lib/scenario.c" "$here/lib/nvml.c" -ldl
	mv "$file.$$" "$file"
}
compile "$out/libnvidia-ml.so.1"
{ echo '{ global:'; sed 's/$/;/' "$here/symbols-535.txt"; echo 'local: *; };'; } >"$out/535/symbols.$$"
compile "$out/535/libnvidia-ml.so.1" "-Wl,--version-script=$out/535/symbols.$$"
rm "$out/535/symbols.$$"
