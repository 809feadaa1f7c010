# Reads one JSON text and prints "path TAB value" for each scalar in it, the
# keys of a path joined by "/". Control characters in a value come out as
# spaces, so a value is always one line. Exits 1 if the text is not JSON.
function fail() { bad = 1; exit 1 }
function space() { sub(/^[ \t\r\n]+/, "", rest) }
function byte(n) { return sprintf("%c", n) }
function hex4(   i, d, n) {
  for (i = 1; i <= 4; i++) {
    d = index("0123456789abcdef", tolower(substr(rest, i, 1)))
    if (d == 0 || length(rest) < i) fail()
    n = n * 16 + d - 1
  }
  rest = substr(rest, 5)
  return n
}
function utf8(n) {
  if (n < 32 || n == 127) return " "
  if (n < 128) return byte(n)
  if (n < 2048) return byte(192 + int(n / 64)) byte(128 + n % 64)
  if (n < 65536) return byte(224 + int(n / 4096)) byte(128 + int(n / 64) % 64) byte(128 + n % 64)
  return byte(240 + int(n / 262144)) byte(128 + int(n / 4096) % 64) byte(128 + int(n / 64) % 64) byte(128 + n % 64)
}
function string(   out, c, n, low) {
  rest = substr(rest, 2)
  while (match(rest, /["\\]/)) {
    out = out substr(rest, 1, RSTART - 1)
    c = substr(rest, RSTART, 1)
    if (c == "\"") { rest = substr(rest, RSTART + 1); gsub(/[\001-\037\177]/, " ", out); return out }
    c = substr(rest, RSTART + 1, 1)
    rest = substr(rest, RSTART + 2)
    if (c == "u") {
      n = hex4()
      if (n >= 55296 && n < 56320 && substr(rest, 1, 2) == "\\u") {
        rest = substr(rest, 3)
        low = hex4()
        n = 65536 + (n - 55296) * 1024 + low - 56320
      }
      out = out utf8(n)
    }
    else if (c == "n" || c == "r" || c == "t" || c == "b" || c == "f") out = out " "
    else if (c == "\"" || c == "\\" || c == "/") out = out c
    else fail()
  }
  fail()
}
function value(path,   key, i, c) {
  space()
  c = substr(rest, 1, 1)
  if (c == "{" || c == "[") {
    rest = substr(rest, 2)
    space()
    if (substr(rest, 1, 1) == (c == "{" ? "}" : "]")) { rest = substr(rest, 2); return }
    for (i = 0; ; i++) {
      key = i
      if (c == "{") {
        space()
        if (substr(rest, 1, 1) != "\"") fail()
        key = string()
        space()
        if (substr(rest, 1, 1) != ":") fail()
        rest = substr(rest, 2)
      }
      value(path == "" ? key : path "/" key)
      space()
      if (substr(rest, 1, 1) == ",") { rest = substr(rest, 2); continue }
      if (substr(rest, 1, 1) != (c == "{" ? "}" : "]")) fail()
      rest = substr(rest, 2)
      return
    }
  }
  if (c == "\"") { print path "\t" string(); return }
  if (!match(rest, /^(-?[0-9][0-9.eE+-]*|true|false|null)/)) fail()
  print path "\t" substr(rest, 1, RLENGTH)
  rest = substr(rest, RLENGTH + 1)
}
{ rest = rest $0 "\n" }
END {
  if (bad) exit 1
  value("")
  space()
  if (rest != "") exit 1
}
