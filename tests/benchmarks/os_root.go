// Times Go's os.Root for peers.py: a line of JSON with nanoseconds a call for each line of input.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"time"
)

const calls = 2000

func timed(act func() error) int64 {
	begin := time.Now()
	for i := 0; i < calls; i++ {
		if err := act(); err != nil {
			panic(err)
		}
	}
	return time.Since(begin).Nanoseconds() / calls
}

func main() {
	root, err := os.OpenRoot(os.Args[1])
	if err != nil {
		panic(err)
	}
	name := os.Args[2]
	open := func() error {
		file, err := root.Open(name)
		if err != nil {
			return err
		}
		return file.Close()
	}
	read := func() error {
		file, err := root.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.ReadAll(file)
		return err
	}
	stat := func() error {
		_, err := root.Stat(name)
		return err
	}
	rounds := bufio.NewScanner(os.Stdin)
	for rounds.Scan() {
		json.NewEncoder(os.Stdout).Encode(map[string]int64{
			"stat": timed(stat), "open": timed(open), "read": timed(read),
		})
	}
}
