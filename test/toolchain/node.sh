# The npm scripts source this file. It puts the Node that `npm ci` brought first on the PATH: npm 11 links it into node_modules/.bin,
# npm 10 does not. It refuses a Node that cannot run TypeScript, or whose SQLite is too old, in a sentence; Node itself would print a stack
# trace, or nothing.
for bin in "$PWD"/node_modules/node-*/bin; do
  if "$bin/node" --version >/dev/null 2>&1; then PATH="$bin:$PATH"; fi
done
# Where the linked Node does not run, as on a Linux without glibc, the one that runs npm may do.
node --version >/dev/null 2>&1 || PATH="${npm_node_execpath%/*}:$PATH"
export PATH
case $(node --version 2>&1) in
  v24.[0-9].* | v24.1[0-4].* | v25.* | v2[0-3].* | v1?.* | v?.*)
    echo "Cannot run on Node $(node --version): Tidings needs Node 24.15, or 26 or newer. On Linux and macOS \`npm ci\` brings one unless it leaves out optional dependencies; elsewhere install one from https://nodejs.org" >&2
    exit 1
    ;;
esac
