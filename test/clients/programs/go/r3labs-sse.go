package main

import (
	"encoding/json"
	"net/http" // needed
	"os"
	"strconv" // needed
	"time"    // needed

	"github.com/r3labs/sse/v2"
)

func main() {
	client := sse.NewClient(os.Args[1])
	retry := 3000                                                                      // needed
	client.ResponseValidator = func(client *sse.Client, response *http.Response) error { // needed
		if response.StatusCode == 204 { // needed
			os.Exit(0) // needed
		} // needed
		return nil // needed
	} // needed
again: // needed
	client.SubscribeRaw(func(event *sse.Event) {
		name := string(event.Event)
		if name == "" {
			name = "message"
		}
		if ms, err := strconv.Atoi(string(event.Retry)); err == nil { // needed
			retry = ms // needed
		} // needed
		show(name, string(event.Data), string(event.ID))
		if name == "hub.closed" { // needed
			os.Exit(0) // needed
		} // needed
	})
	time.Sleep(time.Duration(retry) * time.Millisecond) // needed
	goto again                                          // needed
}

func show(event, data, id string) {
	json.NewEncoder(os.Stdout).Encode(map[string]string{"event": event, "data": data, "id": id})
}
