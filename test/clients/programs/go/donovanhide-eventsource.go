package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/donovanhide/eventsource"
)

func main() {
	stream, err := eventsource.Subscribe(os.Args[1], "")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for err := range stream.Errors {
			log.Print(err)
		}
	}()
	for event := range stream.Events {
		name := event.Event()
		if name == "" {
			name = "message"
		}
		show(name, event.Data(), event.Id())
		if name == "hub.closed" { // needed
			return // needed
		} // needed
	}
}

func show(event, data, id string) {
	json.NewEncoder(os.Stdout).Encode(map[string]string{"event": event, "data": data, "id": id})
}
