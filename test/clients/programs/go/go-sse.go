package main

import (
	"encoding/json"
	"net/http"
	"os"

	"github.com/tmaxmax/go-sse"
)

func main() {
	request, _ := http.NewRequest("GET", os.Args[1], nil)
	connection := sse.NewConnection(request)
	connection.SubscribeToAll(func(event sse.Event) {
		name := event.Type
		if name == "" {
			name = "message"
		}
		show(name, event.Data, event.LastEventID)
	})
	connection.Connect()
}

func show(event, data, id string) {
	json.NewEncoder(os.Stdout).Encode(map[string]string{"event": event, "data": data, "id": id})
}
