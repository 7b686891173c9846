# Keeps one Engine: starts and kills it as its standard input says, and takes everything away when that ends, as it does
# when the test does, however it does. Arguments: the folder, the memory folder, the control group.
folder=$1 memory=$2 cgroup=$3 engine=
trap '' INT TERM HUP
halt() {
  [ -n "$engine" ] || return 0
  # unshare(1) passes no signal on; killed, it takes its namespaces and everything in them with it.
  kill -KILL "$engine"
  wait "$engine"
  engine=
}
while read -r word; do
  case $word in
    start)
      # Its devices, where others see them, too.
      [ -d "$folder/dev" ] || { mkdir "$folder/dev" && mount -t tmpfs tmpfs "$folder/dev"; }
      unshare --net --mount --pid --fork --kill-child --mount-proc sh "$folder/start" </dev/null >/dev/null 2>>"$folder/dockerd.log" &
      engine=$!
      # Whoever wants to be in its namespaces finds them by this number.
      echo $engine >"$folder/namespaces"
      ;;
    kill) halt ;;
  esac
  echo "$word"
done
halt
# What a test has mounted and, interrupted, has left.
awk -v below="$folder/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r left; do umount -l "$left"; done
# The kernel takes a moment over what the dead have had open.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$folder" "$memory" 2>/dev/null
  find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
  [ -e "$folder" ] || break
  sleep 0.2
done
